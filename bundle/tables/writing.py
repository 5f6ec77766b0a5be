"""Rows and their answers as CSV or Parquet, a few at a time."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bundle.errors import TableError
from bundle.tables.answers import ROW, STATUS, Cells, Layout
from bundle.tables.table import Row, Table, is_parquet, parquet

AT_ONCE = 512
"""Rows of a Parquet file that are written at a time."""
TYPES = {ROW: "int64", STATUS: "int64"}
TYPES |= dict.fromkeys(("probability", "baseline"), "float64") | dict.fromkeys(("abstain", "disagreement"), "bool")
"""Of columns that are no text."""
NUMBERS = ("_confidence", "_contribution")
"""How the names of modalities' columns end that hold numbers."""
Put = Callable[[Row, Cells], None]
"""Writes a row of the table with what is known of it."""


def check_name(path: Path) -> None:
    """Refuse a name of a table that cannot be written.

    Raises:
        TableError: another ending than .csv and .parquet, or Parquet without pyarrow.
    """
    if is_parquet(path):
        parquet()
    elif path.suffix.lower() != ".csv":
        raise TableError(f"out: expected a name that ends in .csv or .parquet, found {str(path)!r}")


@contextmanager
def parquet_rows(file: BinaryIO, table: Table, layout: Layout) -> Iterator[Put]:
    """Writes rows as a Parquet file; the columns of a Parquet table keep their types."""
    schema = schema_of(table, layout)
    waiting: list[list[Any]] = []

    def flush() -> None:
        import pyarrow

        columns = [
            pyarrow.array(column, kind) for column, kind in zip(zip(*waiting, strict=True), schema.types, strict=True)
        ]
        writer.write_table(pyarrow.table(columns, schema=schema))
        waiting.clear()

    def put(row: Row, known: Cells) -> None:
        waiting.append(_line(row, known, layout))
        if len(waiting) == AT_ONCE:
            flush()

    with parquet().ParquetWriter(file, schema) as writer:
        yield put
        if waiting:
            flush()


def schema_of(table: Table, layout: Layout) -> Any:
    """The output's schema in Parquet."""
    import pyarrow

    types = {name: pyarrow.string() for name in layout.own}
    if is_parquet(table.path):
        schema = parquet().read_schema(table.path)
        types = {name: schema.field(name).type for name in layout.own}
    for key, name in layout.answer.items():
        types[name] = pyarrow.type_for_alias(TYPES.get(key, "float64" if key.endswith(NUMBERS) else "string"))
    return pyarrow.schema(types)


@contextmanager
def csv_rows(file: BinaryIO, layout: Layout) -> Iterator[Put]:
    """Writes rows as CSV, without a header."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    try:
        yield lambda row, known: writer.writerow(map(_plain, _line(row, known, layout)))
        text.flush()
    finally:
        text.detach()


def csv_header(layout: Layout) -> bytes:
    """The header that belongs before `csv_rows`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow((*layout.own, *layout.answer.values()))
    return text.getvalue().encode()


def _line(row: Row, known: Cells, layout: Layout) -> list[Any]:
    known = known | {ROW: row.index + 1}
    return [*(row.cells[name] for name in layout.own), *(known.get(key) for key in layout.answer)]


def _plain(cell: Any) -> Any:
    """Yes and no as JSON writes them."""
    return str(cell).lower() if isinstance(cell, bool) else cell
