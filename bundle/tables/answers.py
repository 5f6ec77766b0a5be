"""The columns of a table of answers, and what stands in them for an answer or an error."""

import re
from dataclasses import dataclass
from typing import Any

from bundle.answer import Prediction
from bundle.coalitions import JOIN
from bundle.errors import TableError
from bundle.tables.columns import Columns, listed
from bundle.tables.table import Table

Cells = dict[str, Any]
"""The cells of a row's answer by their names; `error_kind` is not None where there is none."""
ROW = "row"
ERROR = "error_kind"
STATUS = "error_status"
DETAIL = "error_detail"
REQUEST = "request_id"
INVALID_CALL = "invalid-call"
"""The kind of error of a row of which no sample can be made: nobody was asked about it."""
TAKEN = "answer_"
"""Before the name of an answer's column where the table has one of that name, such as the true `label`."""
FACTS = ("abstain", "missing", "unusual", "disagreement", "baseline")
"""Columns of what is to be noted of an answer."""
OWN = ("label", "confidence", "contribution")
"""Columns of each modality, after its name."""
NOTHING = dict.fromkeys(("model", "label", "probability", ERROR, STATUS, DETAIL, REQUEST))


def answered(answer: Prediction, request_id: str | None = None) -> Cells:
    """The cells of an answer."""
    best = answer.predictions[0]
    given = {"model": answer.model, "label": best.label, "probability": best.probability}
    facts = {name: _cell(getattr(answer, name)) for name in FACTS}
    own = {f"{name}_{what}": getattr(said, what) for name, said in answer.modalities.items() for what in OWN}
    return NOTHING | given | facts | own | {REQUEST: request_id}


def failed(kind: str, detail: str, status: int | None = None, request_id: str | None = None) -> Cells:
    """The cells of an error.

    Args:
        kind: in one word, as the service names its problems.
        detail: what is wrong, in one line.
        status: of HTTP, where somebody was asked over it.
        request_id: likewise.
    """
    return NOTHING | {ERROR: kind, STATUS: status, DETAIL: detail, REQUEST: request_id}


def kind_of(error: Exception) -> str:
    """The error's class as the service writes it: `UnsupportedMedia` is `unsupported-media`."""
    if isinstance(error, TableError):
        return INVALID_CALL
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()


def _cell(fact: Any) -> Any:
    """Names in one cell; an empty one is none of them, where null is no answer."""
    return JOIN.join(fact) if isinstance(fact, tuple) else fact


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
            TableError: the table has columns of the names that answers' columns would evade to.
        """
        own = tuple(name for name in table.columns if name not in columns.genes)
        said = [f"{name}_{what}" for name in columns.modalities for what in OWN]
        keys = [ROW, "model", "label", "probability", *FACTS, *said, ERROR, STATUS, DETAIL, REQUEST]
        answer = {key: TAKEN + key if key in own else key for key in keys}
        taken = [name for name in answer.values() if name in own]
        if taken:
            raise TableError(f"{table.path}: expected no columns named {listed(taken)}, which the answers need")
        return cls(own, answer)
