"""What there is of a published dataset: the rows of its table, what is missing, and what is odd about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from training.errors import DataError

LFS = b"version https://git-lfs"
"""How a pointer begins that git leaves in place of a file where Git LFS was not used."""
POINTER = 1024
"""Bytes that a pointer has at most."""


@dataclass(frozen=True)
class Count:
    """A number of things beside the published one."""

    what: str
    """Things counted, in words."""
    found: int
    published: int | None = None
    """None where nothing is published to compare with."""

    def line(self) -> str:
        """One line for people."""
        if self.published is None:
            return f"{self.found:,} {self.what}"
        verdict = "as published" if self.found == self.published else f"published are {self.published:,}"
        return f"{self.found:,} {self.what}: {verdict}"


@dataclass(frozen=True)
class Survey:
    """The samples of a dataset as rows of a table that the dataset `table` reads too."""

    frame: pd.DataFrame
    """Cells are strings, "" where nothing is known; the index is what to call each row in an error."""
    media: tuple[str, ...]
    """Columns that hold the paths of files."""
    counts: tuple[Count, ...] = ()
    missing: tuple[str, ...] = ()
    """A line for each sample that is left out of the table since something of it is not there."""
    remarks: tuple[str, ...] = ()
    """What is odd about it as it is published, and what was made of that."""


def framed(rows: Iterable[dict[str, str]], names: Sequence[str]) -> pd.DataFrame:
    """Rows as a table of strings; `names` is what to call them in an error."""
    return pd.DataFrame(list(rows), index=pd.Index(list(names), dtype=object), dtype=object).fillna("")


def absence(path: Path) -> str | None:
    """What keeps `path` from being a file of media, in words; None where it is one."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            return f"no file {path}"
        if size == 0:
            return f"{path} is empty"
        if size <= POINTER:
            with path.open("rb") as file:
                if file.read(len(LFS)) == LFS:
                    return f"{path} is a pointer of Git LFS instead of the file (git lfs pull brings it)"
    except OSError:
        return f"no file {path}"
    return None


def first_with(folders: Sequence[Path], *names: str) -> Path | None:
    """The first place among folders, and the folders in them, that holds all of these names."""
    for folder in folders:
        inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        for place in (folder, *inner):
            if all((place / name).exists() for name in names):
                return place
    return None


def require(folders: Sequence[Path], *names: str, obtain: str) -> Path:
    """As `first_with`, where nothing else will do.

    Raises:
        DataError: there is no such place; says where the dataset is to be had.
    """
    found = first_with(folders, *names)
    if found is None:
        looked = ", ".join(str(folder) for folder in folders)
        raise DataError(f"expected a folder with {' and '.join(names)} in {looked}, found none; to obtain it: {obtain}")
    return found
