"""The published lists of CREMA-D's official split: OGM-GE's (Windows line ends, no header) and D&R's (a header)."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from training.errors import DataError
from training.survey import first_with

HEADER = ["name", "label"]
TRAIN, MY_TRAIN, VAL, TEST = "train.csv", "my_train.csv", "val.csv", "test.csv"


def read_lists(folders: Sequence[Path], name: re.Pattern[str]) -> dict[str, str]:
    """The split of each clip that the lists name; empty where there are none.

    OGM-GE publishes train.csv and test.csv. D&R divides that train.csv further into my_train.csv and val.csv, which are
    used where they are there too.

    Raises:
        DataError: a line that is not a clip and its emotion, or a clip in two lists.
    """
    place = first_with(folders, TEST, TRAIN) or first_with(folders, TEST, MY_TRAIN, VAL)
    if place is None:
        return {}
    divided = first_with(folders, MY_TRAIN, VAL)
    if divided is None:
        parts = {"train": place / TRAIN, "test": place / TEST}
    else:
        parts = {"train": divided / MY_TRAIN, "val": divided / VAL, "test": place / TEST}
    found: dict[str, str] = {}
    for split, path in parts.items():
        for clip in _read(path, name):
            if clip in found:
                raise DataError(f"{path}: expected each clip in one list, found {clip} in {found[clip]} too")
            found[clip] = split
    return found


def _read(path: Path, name: re.Pattern[str]) -> list[str]:
    """The clips of a list."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if rows and rows[0] == HEADER:
        del rows[0]
    for number, row in enumerate(rows, 1):
        matched = name.fullmatch(row[0])
        if len(row) != 2 or matched is None or matched[3] != row[1]:
            raise DataError(
                f"{path}, clip {number}: expected a clip and its emotion, such as 1001_DFA_ANG_XX,ANG, found "
                f"{','.join(row)!r}"
            )
    return [row[0] for row in rows]


def without_lists() -> str:
    """What to say where the official split is wanted and no list is there."""
    return (
        f"the official split needs {TRAIN} and {TEST} of data/CREMAD in https://github.com/GeWu-Lab/OGM-GE_CVPR2022 in "
        "the dataset's folder or one in it; or choose --dataset.split speaker"
    )
