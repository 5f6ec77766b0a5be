"""Finds the files of a table that cannot be decoded, before anybody trains on it."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from PIL.Image import DecompressionBombWarning

from bundle.errors import InvalidInput
from bundle.modalities import Audio, Image, Modality, Pathology, Video
from training.progress import track

CHECKS: dict[str, Modality] = {
    "audio": Audio(8_000, 10.0, 256, 256, 0),
    "video": Video(1, 32),
    "image": Image(32),
    "pathology": Pathology(32),
}
"""What decodes a column of files: the very functions of training and serving, with the least of pixels."""


def broken(frame: pd.DataFrame, media: Sequence[str]) -> dict[int, str]:
    """By position of the row, what is wrong with the first of its files that cannot be decoded."""
    found: dict[int, str] = {}
    for column in media:
        if column not in CHECKS:
            continue
        paths = list(dict.fromkeys(frame[column]))
        with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore", DecompressionBombWarning)  # our own limit is lower, and says so
            try:
                problems = pool.map(lambda path, modality=CHECKS[column]: _problem(modality, Path(path)), paths)
                verdicts = dict(zip(paths, track(problems, f"Checking {column}", len(paths)), strict=True))
            finally:
                pool.shutdown(cancel_futures=True)
        for position, path in enumerate(frame[column]):
            problem = verdicts[path]
            if problem is not None:
                found.setdefault(position, f"{path}: {problem}")
    return found


def _problem(modality: Modality, path: Path) -> str | None:
    try:
        modality.decode(path.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except InvalidInput as error:
        return str(error)
    return None
