"""The document says of an input's value what its decoder says."""

from typing import Any

import pytest

from bundle.errors import InvalidInput
from bundle.modalities import Genomics, Modality, Text
from serving.openapi_requests import _value
from serving.settings import Settings
from training.tokenizer import train_tokenizer

GENES = Genomics(("A", "B", "C"), (0.0,) * 3, (0.0,) * 3, (1.0,) * 3)
CELLS: list[Any] = [
    1,
    -2.5,
    1e12,
    1.1e12,
    None,
    "",
    "  ",
    "NA",
    " nan\n",
    "None",
    "nope",
    "1.5",
    "-.5",
    "+7",
    "2.",
    "1e-9",
]
CELLS += ["1_000", "٣", "inf", True, [], {}]
WORDS = ["a", " a ", "\n", "", " \t", "a\0b", "\0", "\u2003", "日本", "\x85", "\x1c"]


def accepted(modality: Modality, value: Any) -> bool:
    try:
        modality.decode(value)
    except InvalidInput:
        return False
    return True


def check(modality: Modality, value: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs", reason="needs jsonschema-rs, which schemathesis brings")
    assert jsonschema.is_valid(_value(modality, Settings()), value) == accepted(modality, value), value


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_a_cell_of_genomics_is_documented_as_it_is_read(cell: Any) -> None:
    for value in ({"A": cell}, {"A": 1.0, "B": cell}, {"B": cell, "C": None}, [cell, None, ""], [cell, 0, cell]):
        check(GENES, value)


@pytest.mark.parametrize("value", [{}, {"D": 1.0}, {"A": 1.0, "D": 1.0}, [], [1.0], [1.0] * 4, [None] * 3], ids=repr)
def test_so_are_columns(value: Any) -> None:
    check(GENES, value)


@pytest.mark.parametrize("text", WORDS, ids=repr)
def test_so_is_a_text(text: str) -> None:
    check(Text(train_tokenizer(["some words"], 40), 8), text)
