"""Reading tables as strings with pandas, with errors that name rows and columns."""

from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.errors import DataError

PARQUET = (".parquet", ".pq")


def read_frame(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file as strings, nothing guessed: a title "NA" stays a title.

    The index holds row numbers as a person counts them: in a CSV file the header is row 1. Blank lines are left out.

    Raises:
        DataError: no such file, another format, a column name that is there twice, or no rows.
    """
    try:
        frame = _read_parquet(path) if path.suffix.lower() in PARQUET else _read_csv(path)
    except FileNotFoundError:
        raise DataError(f"expected a CSV or Parquet table, found no file {path}") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: expected a header and rows, found an empty file") from None
    except Exception as error:  # pandas and pyarrow raise many types, from OSError to their own
        raise DataError(f"{path}: expected a CSV or Parquet table, found none ({_reason(error)})") from None
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise DataError(f"{path}: expected each column once, found twice: {', '.join(twice)}")
    if frame.empty:
        raise DataError(f"{path}: expected rows, found none below the header")
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """The header is read as a row, since pandas would rename what is there twice and shift rows that are too long."""
    cells = pd.read_csv(
        path, dtype=str, header=None, na_filter=False, skip_blank_lines=False, encoding="utf-8-sig", low_memory=False
    )
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise pd.errors.EmptyDataError
    names = cells.iloc[0].str.strip()
    kept = [position for position, name in enumerate(names) if name or (cells.iloc[1:, position] != "").any()]
    frame = cells.iloc[1:, kept]
    frame.columns = pd.Index(names.iloc[kept].tolist())
    frame.index = frame.index + 1
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path, dtype_backend="numpy_nullable")  # whole numbers stay whole beside missing ones
    if frame.index.name is not None:
        frame = frame.reset_index()
    frame = frame.astype(object).where(frame.notna(), "").map(str)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    frame.index = pd.RangeIndex(1, len(frame) + 1)
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
