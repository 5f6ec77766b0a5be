"""Reading tables of strings and numbers with pandas, with errors that name rows and columns."""

from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.errors import ConfigError, DataError
from training.pairs import Source

MISSING = ["", "NA", "NaN", "nan", "null", "None", "<NA>"]


def read_frame(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file as strings, nothing guessed: a title "NA" stays a title.

    Raises:
        DataError: no such file, another format, or no rows.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
            frame = frame.astype(object).where(frame.notna(), "").map(str)
        else:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no table at {path}") from None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} is not a CSV or Parquet table: {str(error).splitlines()[0]}") from None
    except Exception as error:  # pyarrow's own types
        raise DataError(f"{path} is not a Parquet table: {str(error).splitlines()[0]}") from None
    if frame.empty:
        raise DataError(f"{path} has no rows")
    return frame


def present_column(frame: pd.DataFrame, named: str | None, default: str, option: str) -> str | None:
    """The column that was named, or the default one where there is one.

    Raises:
        DataError: a column was named that the table has not, or the label column is absent.
    """
    column = default if named is None else named
    if column in frame.columns:
        return column
    if named is None:
        return None
    near = get_close_matches(column, [str(name) for name in frame.columns], n=3)
    listed = ", ".join(map(str, frame.columns[:12])) + (", …" if len(frame.columns) > 12 else "")
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    raise DataError(f"the table has no column {column!r}{hint}; it has {listed}; name another with {option}")


def codes(column: pd.Series) -> NDArray[np.int64]:
    """A number for each distinct value; every empty cell is a value of its own."""
    empty = column.str.strip() == ""
    values = column.where(~empty, [f"\0{position}" for position in range(len(column))])
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def genes(
    frame: pd.DataFrame, rows: list[str], prefix: str, table: Path | None, key: str | None
) -> list[Source] | None:
    """One mapping of column to number (None where missing) for each row, or None where there are no such columns.

    Raises:
        ConfigError: a second table without a key.
        DataError: cells that are no finite numbers, keys that are missing or ambiguous.
    """
    if table is not None:
        if key is None:
            raise ConfigError("--dataset.gene-table needs --dataset.key, the column to join on")
        frame = _joined(frame, rows, table, key)
        columns = [name for name in frame.columns if name.startswith(prefix)] or list(frame.columns)
    else:
        columns = [name for name in frame.columns if prefix and name.startswith(prefix)]
    if not columns:
        return None
    cells = frame[columns].map(str.strip)
    missing = cells.isin(MISSING)
    numbers = cells.mask(missing).apply(pd.to_numeric, errors="coerce").astype(np.float64)
    wrong = (numbers.isna() & ~missing) | np.isinf(numbers)
    if wrong.to_numpy().any():
        places = np.argwhere(wrong.to_numpy())
        bad = [f"{rows[row]}, {columns[column]}: {cells.iat[row, column]!r}" for row, column in places]
        raise DataError(f"{len(bad)} genomics cells are not finite numbers:", bad)
    empty = [f"{row}, genomics" for row, gone in zip(rows, missing.all(axis=1), strict=True) if gone]
    if empty:
        raise DataError(f"{len(empty)} rows have no genomics value at all:", empty)
    values = numbers.to_numpy()
    return [
        {name: None if np.isnan(value) else float(value) for name, value in zip(columns, row, strict=True)}
        for row in values
    ]


def _joined(frame: pd.DataFrame, rows: list[str], table: Path, key: str) -> pd.DataFrame:
    """The second table's columns for each row of the first."""
    second = read_frame(table)
    for name, other in (("the table", frame), (str(table), second)):
        if key not in other.columns:
            raise DataError(f"{name} has no key column {key!r}; it has {', '.join(map(str, other.columns[:12]))}")
    twice = second[key][second[key].duplicated()]
    if len(twice):
        raise DataError(f"{table}: {len(twice)} keys occur twice, such as {twice.iloc[0]!r}")
    indexed = second.set_index(key)
    bad = [f"{row}: {value!r}" for row, value in zip(rows, frame[key], strict=True) if value not in indexed.index]
    if bad:
        raise DataError(f"{len(bad)} keys are not in {table}:", bad)
    return indexed.loc[frame[key]].reset_index(drop=True)
