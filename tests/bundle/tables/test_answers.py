"""The cells of answers and of errors, and the columns they stand in."""

from pathlib import Path

import pytest

from bundle.answer import ClassProbability, ModalityAnswer, Prediction
from bundle.errors import InvalidInput, TableError, TooLarge, UnsupportedMedia
from bundle.tables.answers import Layout, answered, failed, kind_of
from bundle.tables.columns import choose
from bundle.tables.table import Table

PREDICTION = Prediction(
    "m",
    (ClassProbability("star", 0.75), ClassProbability("circle", 0.25)),
    {"text": ModalityAnswer("circle", 0.5, 0.25, 1.5)},
    ("audio", "image"),
    baseline=0.5,
    disagreement=False,
    unusual=("text",),
    abstain=True,
)


def test_an_answer_is_a_cell_for_each_fact() -> None:
    assert answered(PREDICTION, "r") == {
        "model": "m",
        "label": "star",
        "probability": 0.75,
        "request_id": "r",
        "abstain": True,
        "missing": "audio+image",
        "unusual": "text",
        "disagreement": False,
        "baseline": 0.5,
        "text_label": "circle",
        "text_confidence": 0.5,
        "text_contribution": 0.25,
        "error_kind": None,
        "error_status": None,
        "error_detail": None,
    }


def test_an_error_has_no_label() -> None:
    cells = failed("too-large", "why", 413)
    assert (cells["error_kind"], cells["error_status"], cells["error_detail"]) == ("too-large", 413, "why")
    assert cells["label"] is None and cells["request_id"] is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("a", "b"), "invalid-input"),
        (UnsupportedMedia("a", "b"), "unsupported-media"),
        (TooLarge("a", "b"), "too-large"),
        (TableError("a"), "invalid-call"),
    ],
)
def test_kinds_of_errors_are_named_as_the_service_names_them(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_names_that_are_taken_are_evaded(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("text,label,row\na,b,c\n")
    table = Table.open(tmp_path / "pairs.csv")
    layout = Layout.of(table, choose(table.columns, (), tmp_path))
    assert layout.own == ("text", "label", "row")
    assert [layout.answer[name] for name in ("row", "label", "model")] == ["answer_row", "answer_label", "model"]
    (tmp_path / "pairs.csv").write_text("text,label,answer_label\na,b,c\n")
    table = Table.open(tmp_path / "pairs.csv")
    with pytest.raises(TableError, match="expected no columns named answer_label"):
        Layout.of(table, choose(table.columns, (), tmp_path))
