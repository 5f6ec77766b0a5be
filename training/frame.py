"""Reading tables as strings with pandas, with errors that name rows and columns."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from errno import EDQUOT, ENOSPC
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray

from bundle.tables.table import is_parquet
from training.cells import columns_at_once, rows_at_once, spooled
from training.errors import DataError


def read_frame(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file as strings, nothing guessed: a title "NA" stays a title.

    Its cells lie in a temporary file, so that memory does not grow with the rows. The index holds row numbers as a
    person counts them: in a CSV file the header is row 1. Blank lines are left out.

    Raises:
        DataError: no such file, another format, a column name that is there twice, no rows, or no place for the cells.
    """
    try:
        frame = _read_parquet(path) if is_parquet(path) else _read_csv(path)
    except FileNotFoundError:
        raise DataError(f"expected a CSV or Parquet table, found no file {path}") from None
    except (pd.errors.EmptyDataError, StopIteration):
        raise DataError(f"{path}: expected a header and rows, found an empty file") from None
    except Exception as error:  # pandas and pyarrow raise many types, from OSError to their own
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            place = f"expected place for a temporary file as large in {gettempdir()}, found none ({error.strerror})"
            raise DataError(f"{path}: {place}; TMPDIR names another folder") from None
        raise DataError(f"{path}: expected a CSV or Parquet table, found none ({_reason(error)})") from None
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise DataError(f"{path}: expected each column once, found twice: {', '.join(twice)}")
    if frame.empty:
        raise DataError(f"{path}: expected rows, found none below the header")
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """The header is read as a row, since pandas would rename what is there twice and shift rows that are too long."""
    before = _blank_lines(path)
    with pd.read_csv(
        path,
        skiprows=before,  # pandas takes a file that begins so for an empty one
        dtype=str,
        header=None,
        na_filter=False,
        skip_blank_lines=False,
        encoding="utf-8-sig",
        iterator=True,
        low_memory=False,
    ) as reader:
        first = _filled(reader.get_chunk(1))
        while first.empty:
            first = _filled(reader.get_chunk(1))
        names = first.iloc[0].str.strip().tolist()
        kept = np.asarray([bool(name) for name in names])

        def parts() -> Iterator[pd.DataFrame]:
            yield first.iloc[1:]
            with suppress(StopIteration):
                while True:
                    part = _filled(reader.get_chunk(rows_at_once(len(names))))
                    kept[:] |= (part != "").any(axis=0).to_numpy()  # a column without a name has content
                    yield part

        frame = spooled(parts()).iloc[:, np.flatnonzero(kept)]
    frame.columns = pd.Index([name for name, found in zip(names, kept, strict=True) if found])
    frame.index = frame.index + 1 + before
    return frame


def _blank_lines(path: Path) -> int:
    """At the beginning of a file, before anything else."""
    count = 0
    with path.open("rb") as file:
        for line in file:
            if line.removeprefix(BOM_UTF8).strip(b"\r\n"):
                break
            count += 1
    return count


def _filled(cells: pd.DataFrame) -> pd.DataFrame:
    """Those of the rows that are not blank."""
    return cells[(cells != "").any(axis=1)]


def _read_parquet(path: Path) -> pd.DataFrame:
    """Some columns at a time: a file of row groups holds a column's cells together."""
    names = pyarrow.parquet.ParquetDataset(path).schema.names
    if len(set(names)) < len(names):  # read_frame says so
        return pd.DataFrame(columns=pd.Index(names))
    blocks: list[pd.DataFrame] = []
    start = 0
    while start < len(names) or not blocks:
        count = columns_at_once(len(blocks[0])) if blocks else 1
        block = pd.read_parquet(path, columns=names[start : start + count], dtype_backend="numpy_nullable")
        start += count  # whole numbers stay whole beside missing ones
        if block.index.name is not None:  # every block has it
            block = block.reset_index(drop=bool(blocks))
        texts = block.astype(object).where(block.notna(), "").map(str)
        blocks.append(spooled([texts.set_axis(pd.RangeIndex(1, len(texts) + 1))]))
    frame = pd.concat(blocks, axis=1)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    return frame


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def listed(frame: pd.DataFrame) -> str:
    """The first columns of a table, for a message."""
    more = ", …" if len(frame.columns) > 12 else ""
    return ", ".join(name or "(no name)" for name in frame.columns[:12]) + more


def present_column(frame: pd.DataFrame, named: str | None, default: str, option: str) -> str | None:
    """The column that was named, or the default one where there is one.

    Raises:
        DataError: a column was named that the table has not.
    """
    column = default if named is None else named
    if column in frame.columns:
        return column
    if named is None:
        return None
    near = get_close_matches(column, list(frame.columns), n=3)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    separator = next((mark for mark in ";\t|" if len(frame.columns) == 1 and mark in frame.columns[0]), None)
    if separator is not None:
        hint = f" (its cells seem to be separated by {separator!r}, expected commas)"
    raise DataError(f"the table has no column {column!r}{hint}; it has {listed(frame)}; name another with {option}")


def codes(column: pd.Series) -> NDArray[np.int64]:
    """A number for each distinct value; every empty cell is a value of its own."""
    stripped = column.str.strip()
    values = stripped.where(stripped != "", [f"\0{position}" for position in range(len(column))])
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)
