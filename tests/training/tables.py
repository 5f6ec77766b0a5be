"""Small tables with real media of all six modalities, and the options that make training on them quick."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tests.bundle.media import colourful, picture, sound, talking_clip, tone

CLASSES = ("cat", "dog", "owl")
GENES = 5
Row = dict[str, str]

QUICK = (
    "--device cpu --epochs 1 --batch-size 8 --audio.rate 2000 --audio.window 64 --audio.hop 64 --audio.bins 8 "
    "--video.size 16 --video.frames 2 --image.size 16 --pathology.size 16 --text.max-length 8 --text.vocabulary 60 "
    "--text.encoder.width 8 --text.encoder.layers 1 --text.encoder.heads 2 --genomics.encoder.widths 8 8"
).split()
QUICK += [
    option
    for modality in ("audio", "video", "image", "pathology")
    for option in (f"--{modality}.encoder.width", "8", f"--{modality}.encoder.blocks", "2")
]


def make_rows(folder: Path, count: int = 36) -> list[Row]:
    """Write media into `folder`; returns the rows of a table of them, with absolute paths."""
    rows = []
    for number in range(count):
        label = CLASSES[number % len(CLASSES)]
        files = {
            "audio": (f"sound {number}.wav", sound(_tone(number), 4000)),
            "video": (f"clip-{number}.mp4", _clip(number)),
            "image": (f"picture-{number}.png", picture(_picture(number), "PNG")),
            "pathology": (f"tile-{number}.jpg", picture(_picture(number + 1000), "JPEG", quality=95)),
        }
        row = {"label": label, "text": f"the {label} of number {number}, old and small"}
        for modality, (name, content) in files.items():
            (folder / name).write_bytes(content)
            row[modality] = str(folder / name)
        generator = np.random.default_rng(number)
        for gene in range(GENES):
            row[f"gene_{gene}"] = f"{generator.normal(number % len(CLASSES), 0.5) * 10**gene:.6g}"
        row["split"] = ("train", "train", "val", "test")[number // len(CLASSES) % 4]
        rows.append(row)
    return rows


def _tone(number: int) -> np.ndarray:
    noise = np.random.default_rng(number).normal(0, 0.02, (1200 + 10 * number, 1))
    return tone(200.0 * (1 + number % len(CLASSES)), 4000, (1200 + 10 * number) / 4000) + noise


def _picture(number: int) -> np.ndarray:
    shades = np.zeros(3, dtype=np.uint8)
    shades[number % len(CLASSES)] = 90
    return colourful(24, 20, seed=number) // 2 + shades


def _clip(number: int) -> bytes:
    frames = [np.asarray(Image.fromarray(_picture(number + step)).resize((32, 32))) for step in range(3)]
    return talking_clip(frames, tone(300.0 + 50 * (number % 3), 8000, 0.3), 8000)


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] | None = None) -> Path:
    """Write rows, or some of their columns, as a CSV file."""
    named = list(columns) if columns is not None else list(rows[0])
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, named, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write rows as a Parquet file; columns that hold only numbers become numbers."""
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        if name.startswith("gene_"):
            frame[name] = pd.to_numeric(frame[name])
    frame.to_parquet(path)
    return path


def without(rows: Sequence[Row], *columns: str) -> list[Row]:
    """The rows less some columns."""
    return [{name: cell for name, cell in row.items() if name not in columns} for row in rows]


def changed(rows: Sequence[Row], number: int, **cells: str) -> list[Row]:
    """The rows with some cells of one row replaced."""
    return [row | cells if position == number else dict(row) for position, row in enumerate(rows)]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of the superuser, who may read and write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
