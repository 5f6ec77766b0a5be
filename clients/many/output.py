"""From what is known of the rows to the table of answers, written whole or not at all."""

import os
from pathlib import Path

from bundle.errors import TableError
from bundle.tables.answers import Cells, Layout, answered, failed, kind_of
from bundle.tables.table import Table, is_parquet
from bundle.tables.writing import csv_header, csv_rows, parquet_rows
from clients.answer import Answer
from clients.errors import AnswerError
from clients.many.journal import Journal
from clients.questions import Result


def cells(result: Result) -> Cells:
    """The cells of one row's answer, or of the error it has instead."""
    if isinstance(result, Answer):
        return answered(result, result.request_id)
    if isinstance(result, AnswerError):
        problem = result.problem
        return failed(problem.kind or "http-error", problem.detail, problem.status, problem.request_id)
    return failed(kind_of(result), str(result))


def write(path: Path, table: Table, layout: Layout, journal: Journal) -> None:
    """The table of answers, in the order of the table.

    Raises:
        TableError: the table changed since it was asked, or the file cannot be written.
    """
    table.check()
    draft = path.with_name(path.name + ".tmp")
    try:
        with draft.open("wb") as file:
            if not is_parquet(path):
                file.write(csv_header(layout))
            writing = parquet_rows(file, table, layout) if is_parquet(path) else csv_rows(file, layout)
            with writing as put:
                for row in table:
                    put(row, journal.cells(row.index))
            file.flush()
            os.fsync(file.fileno())
        table.check()
        os.replace(draft, path)
    except OSError as error:
        raise TableError(f"{path}: expected a file to write, {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
