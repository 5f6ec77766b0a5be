"""Miniatures of the official layouts, quirks included, with generated media in place of the real ones."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bundle.media import colourful, picture, sound, talking_clip, tone
from training.datasets.cremad import speaker_split

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258da\nsize 9\n"
)
SPEAKING = tone(300.0, 22_050, 0.3)


@functools.cache
def flash(seed: int) -> bytes:
    """A clip as CREMA-D has them: Sorenson or VP6 pictures and MP3 sound in FLV."""
    frames = [colourful(32, 32, seed=seed + step) for step in range(3)]
    return talking_clip(frames, SPEAKING, 22_050, "flv", "libmp3lame", "flv")


@functools.cache
def seconds_of(length: int, sounding: bool = True) -> bytes:
    """A clip whose brightness in each second is twenty times its number, and whose pitch rises with it."""
    frames = [np.full((32, 48, 3), 20 * second, dtype=np.uint8) for second in range(length) for _ in range(10)]
    pitches = [tone(200.0 * (1 + second), 16_000, 1.0) for second in range(length)]
    return talking_clip(frames, np.concatenate(pitches) if sounding else np.zeros((0, 1)), 16_000)


def jpeg(seed: int) -> bytes:
    """A small photograph."""
    return picture(colourful(24, 20, seed=seed), "JPEG", quality=90)


def cremad_names(each: int = 3) -> list[str]:
    """Clips of every emotion by some actors of each part of the speaker-independent split."""
    actors = pd.Series([str(number) for number in range(1001, 1092)])
    parts = pd.Series(speaker_split(actors))
    chosen = [actor for part in ("train", "val", "test") for actor in actors[parts == part][:each]]
    levels = {"ANG": "HI", "DIS": "XX"}
    return [f"{actor}_IEO_{emotion}_{levels.get(emotion, 'XX')}" for actor in chosen for emotion in EMOTIONS]


def cremad(folder: Path, names: Sequence[str], wav: bool = True) -> Path:
    """`VideoFlash` and `AudioWAV`, and tables that are not needed."""
    for name in ("VideoFlash", *(["AudioWAV"] if wav else []), "processedResults"):
        (folder / name).mkdir(parents=True)
    for number, name in enumerate(names):
        (folder / "VideoFlash" / f"{name}.flv").write_bytes(flash(number % 6))
        if wav:
            (folder / "AudioWAV" / f"{name}.wav").write_bytes(sound(SPEAKING * (1 + number % 6) / 9, 22_050))
    (folder / "SentenceFilenames.csv").write_text('"Stimulus_Number","Filename"\n')
    return folder


def ogm_lists(folder: Path, names: Sequence[str]) -> Path:
    """OGM-GE's lists: Windows line ends, no header; every actor is in both, one clip in five in test."""
    folder.mkdir(parents=True, exist_ok=True)
    for title, part in (("train", [n for i, n in enumerate(names) if i % 5]), ("test", names[::5])):
        text = "".join(f"{name},{name.split('_')[2]}\r\n" for name in part)
        (folder / f"{title}.csv").write_bytes(text.encode())
    (folder / "stat.csv").write_bytes("\ufeffNEU\r\nHAP\r\nSAD\r\nFEA\r\nDIS\r\nANG\r\n".encode())
    return folder


AVE_HEADER = "Category&VideoID&Quality&StartTime&EndTime\n"
AVE_LINES = {
    "trainSet.txt": (
        "Race car, auto racing&-aB_0&good&0&10",
        "Race car, auto racing&aB_1&good&6&8",
        "Frying (food)&aB_2&good&0&10",
        "Frying (food)&--B_3&good&2&5",
        "Male speech, man speaking&both&good&0&5",
        "Male speech, man speaking&same&good&0&5",
        "Female speech, woman speaking&same&good&0&5",
    ),
    "valSet.txt": ("Race car, auto racing&aB_4&good&0&10", "Frying (food)&aB_5&good&0&10"),
    "testSet.txt": (
        "Race car, auto racing&aB_6&good&0&0",
        "Frying (food)&aB_7&good&8&10",
        "Female speech, woman speaking&both&good&0&5",
    ),
}
"""Dashes before ids, commas and brackets in categories, a video in train and test, one twice in train, no length."""


def ave(folder: Path, header: bool) -> Path:
    """The lists, and a clip of ten seconds for each video; a header only where the archive's own copies have it."""
    (folder / "AVE").mkdir(parents=True)
    first = AVE_HEADER if header else ""
    for name, lines in AVE_LINES.items():
        (folder / name).write_text(first + "".join(f"{line}\n" for line in lines))
        for line in lines:
            (folder / "AVE" / f"{line.split('&')[1]}.mp4").write_bytes(seconds_of(10))
    every = [line for lines in AVE_LINES.values() for line in lines]
    (folder / "Annotations.txt").write_text(first + "".join(f"{line}\n" for line in every))
    return folder


FOODS = ("apple_pie", "baby_back_ribs", "baklava")


def food101(folder: Path, header: bool = False) -> Path:
    """Pictures and titles: some listed as .txt, some escaped once or twice, with commas, quotes and line ends."""
    (folder / "texts").mkdir(parents=True)
    for split, count in (("train", 14), ("test", 4)):
        rows = []
        for food in FOODS:
            (folder / "images" / split / food).mkdir(parents=True)
            for number in range(count):
                name = f"{food}_{number}"
                (folder / "images" / split / food / f"{name}.jpg").write_bytes(jpeg(number))
                title = (
                    f"Grandma&#8217;s {food}, the best",
                    f"&raquo; {food} &amp;#8211; recipes",
                    f'the "real" {food}\nof number {number}',
                    f"NA {food}",
                )[number % 4]
                rows.append((f"{name}{'.txt' if number % 5 == 1 else '.jpg'}", title, food))
        frame = pd.DataFrame(rows, columns=["image_path", "text", "food"])
        if header:
            frame.to_csv(folder / "texts" / f"{split}.csv")
        else:
            frame.to_csv(folder / "texts" / f"{split}_titles.csv", header=False, index=False)
    return folder
