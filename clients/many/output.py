"""From what is known of the rows to the table of answers, written whole or not at all."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.coalitions import JOIN
from clients.answer import Answer
from clients.errors import AnswerError, ClientError, InvalidCall
from clients.many.columns import Columns, listed
from clients.many.journal import ERROR, ROW, Cells, Journal
from clients.many.table import Table, is_parquet, parquet
from clients.questions import Result

TAKEN = "answer_"
"""Before the name of an answer's column where the table has one of that name, such as the true `label`."""
AT_ONCE = 512
"""Rows of a Parquet file that are written at a time."""
FACTS = ("abstain", "missing", "unusual", "disagreement", "baseline")
"""Columns of what is to be noted of an answer."""
OWN = ("label", "confidence", "contribution")
"""Columns of each modality, after its name."""
TYPES = {ROW: "int64", "error_status": "int64"}
TYPES |= dict.fromkeys(("probability", "baseline"), "float64") | dict.fromkeys(("abstain", "disagreement"), "bool")
"""Of columns that are no text."""


def cells(result: Result) -> Cells:
    """The cells of one row's answer, or of the error it has instead."""
    found = dict.fromkeys(("model", "label", "probability", ERROR, "error_status", "error_detail", "request_id"))
    if isinstance(result, Answer):
        best = result.predictions[0]
        given = {"model": result.model, "label": best.label, "probability": best.probability}
        facts = {name: _cell(getattr(result, name)) for name in FACTS}
        own = {f"{name}_{what}": getattr(said, what) for name, said in result.modalities.items() for what in OWN}
        return found | given | facts | own | {"request_id": result.request_id}
    if isinstance(result, AnswerError):
        problem = result.problem
        stated = {"error_status": problem.status, "error_detail": problem.detail, "request_id": problem.request_id}
        return found | {ERROR: problem.kind or "http-error"} | stated
    return found | {ERROR: _kind(result), "error_detail": str(result)}


def _cell(fact: Any) -> Any:
    """Names in one cell; an empty one is none of them, where null is no answer."""
    return JOIN.join(fact) if isinstance(fact, tuple) else fact


def _kind(error: ClientError) -> str:
    """The error's class as the service would write it: `InvalidCall` is `invalid-call`."""
    name = type(error).__name__
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("-")


@dataclass(frozen=True)
class Layout:
    """The columns of the output, in order."""

    own: tuple[str, ...]
    """The table's, but for the genes, which are too many."""
    answer: dict[str, str]
    """Those of the answer: what they hold, and their names."""

    @classmethod
    def of(cls, table: Table, columns: Columns) -> "Layout":
        """The layout for a table.

        Raises:
            InvalidCall: the table has columns of the names that answers' columns would evade to.
        """
        own = tuple(name for name in table.columns if name not in columns.genes)
        said = [f"{name}_{what}" for name in columns.modalities for what in OWN]
        keys = [
            ROW,
            "model",
            "label",
            "probability",
            *FACTS,
            *said,
            ERROR,
            "error_status",
            "error_detail",
            "request_id",
        ]
        answer = {key: TAKEN + key if key in own else key for key in keys}
        taken = [name for name in answer.values() if name in own]
        if taken:
            raise InvalidCall(f"{table.path}: expected no columns named {listed(taken)}, which the answers need")
        return cls(own, answer)


def write(path: Path, table: Table, layout: Layout, journal: Journal) -> None:
    """The table of answers, in the order of the table.

    Raises:
        InvalidCall: the table changed since it was asked, or the file cannot be written.
    """
    table.check()
    draft = path.with_name(path.name + ".tmp")
    try:
        with (_parquet if is_parquet(path) else _csv)(draft, table, layout) as put:
            for row in table:
                known = journal.cells(row.index) | {ROW: row.index + 1}
                put([row.cells[name] for name in layout.own], [known.get(key) for key in layout.answer])
        table.check()
        os.replace(draft, path)
    except OSError as error:
        raise InvalidCall(f"{path}: expected a file to write, {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


Put = Callable[[Sequence[Any], Sequence[Any]], None]
"""Writes a row: the table's own cells, then those of the answer."""


@contextmanager
def _csv(path: Path, table: Table, layout: Layout) -> Iterator[Put]:
    del table
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*layout.own, *layout.answer.values()))
        yield lambda own, answer: writer.writerow([*own, *map(_plain, answer)])
        file.flush()
        os.fsync(file.fileno())


def _plain(cell: Any) -> Any:
    """Yes and no as JSON writes them."""
    return str(cell).lower() if isinstance(cell, bool) else cell


@contextmanager
def _parquet(path: Path, table: Table, layout: Layout) -> Iterator[Put]:
    """Columns of a Parquet table keep their types."""
    import pyarrow

    types = {name: pyarrow.string() for name in layout.own}
    if is_parquet(table.path):
        schema = parquet().read_schema(table.path)
        types = {name: schema.field(name).type for name in layout.own}
    for key, name in layout.answer.items():
        number = key.endswith(("_confidence", "_contribution"))
        kind = TYPES.get(key, "float64" if number else "string")
        types[name] = pyarrow.type_for_alias(kind)
    schema = pyarrow.schema(types)
    waiting: list[Sequence[Any]] = []

    def flush() -> None:
        columns = [
            pyarrow.array(column, kind) for column, kind in zip(zip(*waiting, strict=True), schema.types, strict=True)
        ]
        writer.write_table(pyarrow.table(columns, schema=schema))
        waiting.clear()

    def put(own: Sequence[Any], answer: Sequence[Any]) -> None:
        waiting.append([*own, *answer])
        if len(waiting) == AT_ONCE:
            flush()

    with parquet().ParquetWriter(path, schema) as writer:
        yield put
        if waiting:
            flush()
