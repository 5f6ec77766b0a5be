"""A CSV or Parquet table as a stream of rows, read as often as needed and never held whole."""

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from bundle.errors import TableError

PARQUET = (".parquet", ".pq")
LONGEST_CELL = 2**31 - 1
AT_ONCE = 64
"""Rows of a Parquet file that are turned into Python values at a time; gene tables have thousands of columns."""
ESCAPED = re.compile("[\udc80-\udcff]")
"""A byte that is no UTF-8, as Python's handler `surrogateescape` has it."""
MARK = 1024
"""Rows of a CSV file between two places that are known, so that a part is read without what lies before it."""


@dataclass(frozen=True)
class Row:
    """One row."""

    index: int
    """From 0; blank lines do not count."""
    cells: dict[str, Any]
    """By column: text in a CSV file, what the column holds in a Parquet file. Of a broken line, what can be read."""
    problem: str | None = None
    """What is wrong with its line in a CSV file."""

    def sound(self) -> dict[str, Any]:
        """The cells of a row that is not broken.

        Raises:
            TableError: its line is.
        """
        if self.problem is not None:
            raise TableError(self.problem)
        return self.cells


@dataclass(frozen=True)
class Table:
    """A table that was read once from its first row to its last."""

    path: Path
    columns: tuple[str, ...]
    rows: int
    digest: str
    """SHA-256 of the file."""
    marks: tuple[int, ...] = ()
    """Where in a CSV file every `MARK`-th row begins, as its text reader tells it."""

    @classmethod
    def open(cls, path: Path) -> "Table":
        """Look at the whole table, so that what is wrong with it is known before anything is asked.

        Raises:
            TableError: no such file, another format, a column name that is there twice, no rows, none whose line is
                not broken, or a Parquet file without pyarrow.
        """
        columns = tuple(_columns(path))
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise TableError(f"{path}: expected each column once, found twice: {', '.join(twice)}")
        digest = _digest(path)
        marks: list[int] = []
        rows = _parquet_rows(path, 0) if is_parquet(path) else _csv_rows(path, marks=marks)
        count, sound, problem = 0, 0, None
        for row in _numbered(path, rows, 0):
            count += 1
            sound += row.problem is None
            problem = problem or row.problem
        if not count:
            raise TableError(f"{path}: expected rows, found none below the header")
        if not sound:
            raise TableError(f"{path}: expected rows, found broken lines alone, the first of which: {problem}")
        return cls(path, columns, count, digest, tuple(marks))

    def __iter__(self) -> Iterator[Row]:
        """The rows, read anew."""
        return self.part(0, self.rows)

    def part(self, start: int, stop: int) -> Iterator[Row]:
        """The rows from `start` to before `stop`, read anew; little of what lies before them is read.

        Raises:
            TableError: the file cannot be read any more.
        """
        if is_parquet(self.path):
            return _numbered(self.path, islice(_parquet_rows(self.path, start), stop - start), start)
        before = start // MARK
        place = self.marks[before] if before < len(self.marks) else None
        first = before * MARK if place is not None else 0
        rows = islice(_csv_rows(self.path, place), start - first, stop - first)
        return _numbered(self.path, rows, start)

    def check(self) -> None:
        """See that the file is still what it was.

        Raises:
            TableError: it is not.
        """
        if _digest(self.path) != self.digest:
            raise TableError(f"{self.path}: expected a table that stays as it is, it changed meanwhile")


def is_parquet(path: Path) -> bool:
    """Whether a path names a Parquet file; any other is taken for CSV."""
    return path.suffix.lower() in PARQUET


def parquet() -> Any:
    """The module `pyarrow.parquet`.

    Raises:
        TableError: it is not installed.
    """
    try:
        import pyarrow.parquet as module
    except ImportError:
        raise TableError(
            "expected pyarrow for a Parquet file, it is not installed: pip install 'infobridge[parquet]'"
        ) from None
    return module


def _numbered(path: Path, rows: Iterator[tuple[dict[str, Any], str | None]], start: int) -> Iterator[Row]:
    try:
        for index, (cells, problem) in enumerate(rows, start):
            yield Row(index, cells, problem)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise _unreadable(path, error) from None


def _columns(path: Path) -> list[str]:
    try:
        if is_parquet(path):
            with parquet().ParquetFile(path) as file:
                return [str(name) for name in file.schema_arrow.names]
        with _opened(path) as file:
            return [name for name in _header(csv.reader(file, strict=True)) if name]
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from None


def _header(lines: Iterator[list[str]]) -> list[str]:
    """The first line that is not blank; a column without a name is left out, as is what it holds."""
    csv.field_size_limit(LONGEST_CELL)
    names = next((cells for cells in lines if any(cells)), None)
    if names is None:
        raise ValueError("an empty file")
    problem = _problem(names, len(names))
    if problem is not None:
        raise ValueError(f"the header: {problem}")
    return [name.strip() for name in names]


def _opened(path: Path) -> TextIO:
    """A CSV file whose bytes that are no UTF-8 become surrogates, so that they spoil no other line."""
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _problem(cells: list[str], count: int) -> str | None:
    """What is wrong with a line that is to have so many cells."""
    if any(cells[count:]):
        return f"expected {count} cells like the header, found {len(cells)}"
    content = "".join(cells)
    found = None if content.isascii() else ESCAPED.search(content)
    return None if found is None else f"expected text in UTF-8, found the byte 0x{ord(found[0]) - 0xDC00:02x}"


def _csv_rows(
    path: Path, place: int | None = None, marks: list[int] | None = None
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """The rows with what is wrong with each, or those from a mark on; `marks` takes the place of each `MARK`-th."""
    with _opened(path) as file:
        lines = csv.reader(iter(file.readline, ""), strict=True)  # a file that is iterated does not tell where it is
        names = _header(lines)
        if place is not None:
            file.seek(place)
        count, position = 0, file.tell() if marks is not None else 0
        for cells in lines:
            if any(cells):
                problem = _problem(cells, len(names))
                if problem is not None:
                    cells = [ESCAPED.sub("\ufffd", cell) for cell in cells]
                if marks is not None and count % MARK == 0:
                    marks.append(position)
                count += 1
                padded = cells + [""] * (len(names) - len(cells))
                yield {name: cell for name, cell in zip(names, padded, strict=False) if name}, problem
            if marks is not None and count % MARK == 0:
                position = file.tell()


def _parquet_rows(path: Path, start: int) -> Iterator[tuple[dict[str, Any], None]]:
    """The rows from `start` on; groups of rows before it are not read.

    What pyarrow's own threads read ahead stays in their heaps: memory would grow with every part that is read.
    """
    with parquet().ParquetFile(path, pre_buffer=False) as file:
        groups: list[int] = []
        before = start
        for group in range(file.metadata.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if before < size or groups:
                groups.append(group)
            else:
                before -= size
        batches = file.iter_batches(batch_size=AT_ONCE, row_groups=groups, use_threads=False)
        for batch in batches if groups else ():
            skipped = min(before, batch.num_rows)
            before -= skipped
            yield from ((cells, None) for cells in batch.slice(skipped).to_pylist())


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> TableError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return TableError(f"{path}: expected a CSV or Parquet table, found none ({reason})")
