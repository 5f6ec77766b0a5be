"""The genomics columns of a table, or of a second one joined on a key, as numbers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bundle.modalities.genomics import LARGEST, MISSING
from training.cells import columns_at_once
from training.columns import Vectors, beside
from training.errors import DataError
from training.frame import listed, read_frame
from training.problems import RowProblems, shown

PREFIX = "gene_"


def genes(
    frame: pd.DataFrame, prefix: str, problems: RowProblems, places: NDArray[np.int64] | None = None
) -> Vectors | None:
    """One mapping of column to number (None where missing) for each row, or None where there are no such columns.

    Cells that are no finite numbers and rows without any value go to `problems`.

    Args:
        frame: a table of texts.
        prefix: what the names of the columns begin with.
        problems: of the rows that are asked for.
        places: which row of the table each of those is, -1 for one that has its problem already; None for all in order.

    Raises:
        DataError: no column begins with a prefix that is not the default.
    """
    columns = [name for name in frame.columns if name.startswith(prefix)]
    if not columns:
        if prefix != PREFIX:
            raise DataError(f"the table has no column that begins with {prefix!r}; it has {listed(frame)}")
        return None
    places = np.arange(len(frame)) if places is None else places
    empty = places >= 0  # until a value is found

    def blocks() -> Iterator[NDArray[np.float64]]:
        count = columns_at_once(len(places))
        for start in range(0, len(columns), count):
            cells = frame[columns[start : start + count]].apply(lambda column: column.str.strip()).iloc[places]
            missing = cells.apply(lambda column: column.str.lower().isin(MISSING)).to_numpy()
            numbers = cells.mask(missing).apply(pd.to_numeric, errors="coerce")
            values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
            wrong = ~missing & ~(np.abs(values) <= LARGEST)
            for row, column in np.argwhere(wrong & (places >= 0)[:, None]):
                found = shown(str(cells.iat[row, column]))
                problems.add(
                    int(row), columns[start + column], f"expected a finite number or an empty cell, found {found}"
                )
            np.logical_and(empty, missing.all(axis=1), out=empty)
            yield values

    numbers = beside((len(places), len(columns)), blocks())
    for row in np.flatnonzero(empty):
        problems.add(int(row), "genomics", f"expected a value in at least one of {len(columns)} columns, found none")
    return Vectors(columns, numbers)


def joined(frame: pd.DataFrame, table: Path, key: str, problems: RowProblems) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The second table without its keys, and which of its rows each of the first belongs to.

    Rows whose key it has not are at -1, and go to `problems`.

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
    known = {value: place for place, value in enumerate(keys) if value}
    places = np.full(len(frame), -1)
    for position, value in enumerate(frame[key].str.strip()):
        if not value:
            problems.add(position, key, "expected a key, found an empty cell")
        elif value not in known:
            problems.add(position, key, f"expected a key that {table.name} has, found {shown(value)}")
        else:
            places[position] = known[value]
    return second.drop(columns=key), places
