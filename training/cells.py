"""Tables of texts whose cells lie in a file without a name instead of in memory, written part by part."""

import mmap
from collections.abc import Iterable
from contextlib import ExitStack
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

CELLS = 1 << 18
"""As many are read, checked or converted at once, whatever the rows and columns of a table."""
LEAST = 1_000
"""Rows at once of a table however wide."""


def rows_at_once(columns: int) -> int:
    """Of a table with so many columns; some however wide it is, since every part of a column has its own overhead."""
    return max(LEAST, CELLS // max(1, columns))


def columns_at_once(rows: int) -> int:
    """Of a table with so many rows."""
    return max(1, CELLS // max(1, rows))


def spooled(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The parts below each other as one table with the first part's columns.

    Its cells are memory-mapped, so that the system can take the memory back whenever it needs it.

    Args:
        parts: one or more tables of texts, of one width, with numbers for an index; each is let go before the next is
            asked for.

    Raises:
        OSError: there is no place for a temporary file of the table's size.
    """
    numbers: list[NDArray[np.int64]] = []
    with TemporaryFile() as file, ExitStack() as stack:
        for part in parts:
            if not numbers:
                columns = part.columns
                schema = pyarrow.schema([(str(place), pyarrow.large_string()) for place in range(len(columns))])
                writer = stack.enter_context(pyarrow.ipc.new_stream(file, schema))
            arrays = [pyarrow.array(part.iloc[:, place], pyarrow.large_string()) for place in range(len(columns))]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            numbers.append(part.index.to_numpy(np.int64))
        stack.close()
        file.flush()
        mapped = pyarrow.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    table = pyarrow.ipc.open_stream(pyarrow.BufferReader(mapped)).read_all()
    frame: pd.DataFrame = table.to_pandas()  # of texts nothing is copied
    frame.columns, frame.index = columns, pd.Index(np.concatenate(numbers))
    return frame
