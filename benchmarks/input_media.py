"""Tables of generated media for `benchmarks.input`: as many rows as one likes of a few hundred files."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from bundle.modalities import pixels
from bundle.modalities.text import WORDS
from bundle.modalities.video import write_mp4

FILES = 200
"""Of each kind; rows share them, and each row's is decoded and kept as if it were its own."""
CLASSES = 8
GENES = 80
"""Columns: as many as the paper's."""
RATE, SECONDS = 16_000, 3
FRAMES, HEIGHT, WIDTH = 24, 120, 160

Generator = np.random.Generator


def _audio(path: Path, generator: Generator) -> Path:
    file = path.with_suffix(".wav")
    soundfile.write(file, 0.2 * generator.standard_normal(RATE * SECONDS), RATE)
    return file


def _video(path: Path, generator: Generator) -> Path:
    picture = np.asarray(pixels.smooth_noise(generator, HEIGHT, WIDTH))
    file = path.with_suffix(".mp4")
    file.write_bytes(write_mp4([np.roll(picture, 3 * step, axis=1) for step in range(FRAMES)], rate=8))
    return file


def _image(path: Path, generator: Generator) -> Path:
    file = path.with_suffix(".jpg")
    pixels.smooth_noise(generator, HEIGHT, WIDTH).save(file)
    return file


WRITERS = {"audio": _audio, "video": _video, "image": _image}


def make(folder: Path, modalities: Sequence[str], rows: int) -> Path:
    """Write a table of so many rows, three fifths of them for training, and its files; returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    files = {
        name: [str(WRITERS[name](folder / f"{name}-{number}", generator)) for number in range(FILES)]
        for name in modalities
        if name in WRITERS
    }
    genes = [f"gene_{number}" for number in range(GENES)] if "genomics" in modalities else []
    texts = ["text"] if "text" in modalities else []
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "split", *files, *texts, *genes])
        for number in range(rows):
            label, split = (
                f"class {number % CLASSES}",
                ("train", "train", "train", "val", "test")[number // CLASSES % 5],
            )
            cells = [files[name][number % FILES] for name in files]
            cells += [" ".join(generator.choice(WORDS, int(generator.integers(4, 20)))) for _ in texts]
            cells += [f"{value:.5g}" for value in generator.standard_normal(len(genes))]
            writer.writerow([label, split, *cells])
    return path
