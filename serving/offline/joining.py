"""From the parts of a run to its one table, written whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

from bundle.errors import TableError
from bundle.tables.table import is_parquet, parquet
from bundle.tables.writing import csv_header, schema_of
from serving.offline.parts import Parts
from serving.offline.plan import Plan

GROUP = 1 << 21
"""Bytes of a Parquet file's group of rows: what is in memory at a time, and what readers get at a time."""


def join(plan: Plan, parts: Parts) -> None:
    """Write the table of answers, in the order of the table.

    Raises:
        TableError: the table changed since it was answered, or the file cannot be written.
    """
    plan.table.check()
    draft = plan.out.with_name(plan.out.name + ".tmp")
    paths = [parts.path(number) for number in range(plan.parts)]
    try:
        with draft.open("wb") as file:
            if is_parquet(plan.out):
                _parquet(file, plan, paths)
            else:
                _csv(file, plan, paths)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, plan.out)
    except OSError as error:
        raise TableError(f"{plan.out}: expected a file to write, {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def _csv(file: BinaryIO, plan: Plan, paths: list[Path]) -> None:
    file.write(csv_header(plan.layout))
    for path in paths:
        with path.open("rb") as part:
            shutil.copyfileobj(part, file)


def _parquet(file: BinaryIO, plan: Plan, paths: list[Path]) -> None:
    import pyarrow

    waiting: list[Any] = []
    with parquet().ParquetWriter(file, schema_of(plan.table, plan.layout)) as writer:
        for path in paths:
            with path.open("rb") as part:
                waiting.append(parquet().read_table(part, use_threads=False, pre_buffer=False))
            if sum(table.nbytes for table in waiting) >= GROUP:
                writer.write_table(pyarrow.concat_tables(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(pyarrow.concat_tables(waiting))
