"""A CSV or Parquet table as a stream of rows, read as often as needed and never held whole."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.errors import InvalidCall

PARQUET = (".parquet", ".pq")
LONGEST_CELL = 2**31 - 1
AT_ONCE = 64
"""Rows of a Parquet file that are turned into Python values at a time; gene tables have thousands of columns."""


@dataclass(frozen=True)
class Row:
    """One row."""

    index: int
    """From 0; blank lines do not count."""
    cells: dict[str, Any]
    """By column: text in a CSV file, what the column holds in a Parquet file."""


@dataclass(frozen=True)
class Table:
    """A table that was read once from its first row to its last."""

    path: Path
    columns: tuple[str, ...]
    rows: int
    digest: str
    """SHA-256 of the file."""

    @classmethod
    def open(cls, path: Path) -> "Table":
        """Look at the whole table, so that what is wrong with it is known before anything is asked.

        Raises:
            InvalidCall: no such file, another format, a column name that is there twice, a row that is too long, no
                rows, or a Parquet file without pyarrow.
        """
        columns = tuple(_columns(path))
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise InvalidCall(f"{path}: expected each column once, found twice: {', '.join(twice)}")
        digest = _digest(path)
        count = sum(1 for _ in read(path))
        if not count:
            raise InvalidCall(f"{path}: expected rows, found none below the header")
        return cls(path, columns, count, digest)

    def __iter__(self) -> Iterator[Row]:
        """The rows, read anew."""
        return read(self.path)

    def check(self) -> None:
        """See that the file is still what it was.

        Raises:
            InvalidCall: it is not.
        """
        if _digest(self.path) != self.digest:
            raise InvalidCall(f"{self.path}: expected a table that stays as it is, it changed meanwhile")


def is_parquet(path: Path) -> bool:
    """Whether a path names a Parquet file; any other is taken for CSV."""
    return path.suffix.lower() in PARQUET


def parquet() -> Any:
    """The module `pyarrow.parquet`.

    Raises:
        InvalidCall: it is not installed.
    """
    try:
        import pyarrow.parquet as module
    except ImportError:
        raise InvalidCall(
            "expected pyarrow for a Parquet file, it is not installed: pip install 'infobridge[parquet]'"
        ) from None
    return module


def read(path: Path) -> Iterator[Row]:
    """The rows of a file.

    Raises:
        InvalidCall: it cannot be read.
    """
    rows = _parquet_rows(path) if is_parquet(path) else _csv_rows(path)
    try:
        for index, cells in enumerate(rows):
            yield Row(index, cells)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise _unreadable(path, error) from None


def _columns(path: Path) -> list[str]:
    try:
        if is_parquet(path):
            with parquet().ParquetFile(path) as file:
                return [str(name) for name in file.schema_arrow.names]
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [name for name in _header(csv.reader(file, strict=True)) if name]
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from None


def _header(lines: Iterator[list[str]]) -> list[str]:
    """The first line that is not blank; a column without a name is left out, as is what it holds."""
    csv.field_size_limit(LONGEST_CELL)
    names = next((cells for cells in lines if any(cells)), None)
    if names is None:
        raise ValueError("an empty file")
    return [name.strip() for name in names]


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        names = _header(lines)
        for cells in lines:
            if not any(cells):
                continue
            if any(cells[len(names) :]):
                raise ValueError(f"line {lines.line_num}: expected {len(names)} cells, found {len(cells)}")
            padded = cells + [""] * (len(names) - len(cells))
            yield {name: cell for name, cell in zip(names, padded, strict=False) if name}


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    with parquet().ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=AT_ONCE):
            yield from batch.to_pylist()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InvalidCall:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return InvalidCall(f"{path}: expected a CSV or Parquet table, found none ({reason})")
