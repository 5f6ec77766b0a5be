"""The genomics columns of a table, or of a second one joined on a key, as numbers."""

from pathlib import Path

import numpy as np
import pandas as pd

from bundle.modalities.genomics import LARGEST, MISSING
from training.columns import Vectors
from training.errors import DataError
from training.frame import listed, read_frame
from training.problems import RowProblems, shown

PREFIX = "gene_"


def genes(frame: pd.DataFrame, prefix: str, problems: RowProblems) -> Vectors | None:
    """One mapping of column to number (None where missing) for each row, or None where there are no such columns.

    Cells that are no finite numbers and rows without any value go to `problems`.

    Raises:
        DataError: no column begins with a prefix that is not the default.
    """
    columns = [name for name in frame.columns if name.startswith(prefix)]
    if not columns:
        if prefix != PREFIX:
            raise DataError(f"the table has no column that begins with {prefix!r}; it has {listed(frame)}")
        return None
    cells = frame[columns].apply(lambda column: column.str.strip())
    missing = cells.apply(lambda column: column.str.lower().isin(MISSING)).to_numpy()
    numbers = cells.mask(missing).apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~missing & ~(np.abs(numbers) <= LARGEST)
    for row, column in np.argwhere(wrong):
        found = shown(str(cells.iat[row, column]))
        problems.add(int(row), columns[column], f"expected a finite number or an empty cell, found {found}")
    for row in np.flatnonzero(missing.all(axis=1)):
        problems.add(int(row), "genomics", f"expected a value in at least one of {len(columns)} columns, found none")
    return Vectors(columns, numbers)


def joined(frame: pd.DataFrame, table: Path, key: str, problems: RowProblems) -> pd.DataFrame:
    """The second table's columns for each row of the first; rows whose key it has not go to `problems`.

    Raises:
        DataError: a table without the key column, or keys that occur twice in the second.
    """
    second = read_frame(table)
    for name, other in (("the table", frame), (str(table), second)):
        if key not in other.columns:
            raise DataError(
                f"{name} has no key column {key!r}; it has {listed(other)}; name another with --dataset.key"
            )
    keys = second[key].str.strip()
    repeated = keys[keys.duplicated(keep=False) & (keys != "")]
    if len(repeated):
        rows = [f"row {number}: {shown(value)}" for number, value in repeated.items()]
        raise DataError(f"{table}: expected each key of {key!r} once, these are there more often:", rows)
    indexed = second.drop(columns=key).set_index(keys)
    wanted = frame[key].str.strip()
    for position, value in enumerate(wanted):
        if not value:
            problems.add(position, key, "expected a key, found an empty cell")
        elif value not in indexed.index:
            problems.add(position, key, f"expected a key that {table.name} has, found {shown(value)}")
    found = indexed[indexed.index != ""].reindex(
        wanted, fill_value="0"
    )  # a row without its key has its problem already
    return found.set_axis(frame.index)
