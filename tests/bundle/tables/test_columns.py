"""From a table's columns to the payloads of its rows."""

from pathlib import Path
from typing import Any

import pytest

from bundle.errors import TableError
from bundle.tables.columns import Columns, choose

FOLDER = Path("/data")


def test_columns_are_named_like_modalities() -> None:
    columns = choose(["id", "pathology", "gene_B", "gene_A", "label", "genomics"], (), FOLDER)
    assert columns == Columns(FOLDER, {"pathology": "pathology"}, ("gene_B", "gene_A"))
    assert columns.modalities == ("pathology", "genomics")


def test_columns_may_have_other_names() -> None:
    given = ("audio=clip", "video=clip", "text=", "genomics=expr_")
    columns = choose(["clip", "text", "expr_1", "gene_A"], given, FOLDER)
    assert columns == Columns(FOLDER, {"audio": "clip", "video": "clip"}, ("expr_1",))
    assert choose(["text", "gene_A"], ("genomics=",), FOLDER) == Columns(FOLDER, {"text": "text"})


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        (["id", "label"], (), "expected a column named like a modality"),
        (["text"], ("text=",), "expected a column named like a modality"),
        (["text"], ("sound=clip",), "columns: expected one of audio"),
        (["text"], ("audio",), "columns: expected one of audio"),
        (["text", "clips"], ("audio=clip",), "did you mean clips"),
        (["text"], ("genomics=expr_",), "columns that begin with 'expr_', the table has text"),
    ],
)
def test_columns_that_are_not_there_are_refused(columns: list[str], given: tuple[str, ...], message: str) -> None:
    with pytest.raises(TableError) as caught:
        choose(columns, given, FOLDER)
    assert message in str(caught.value)


def test_a_row_becomes_payloads() -> None:
    columns = choose(["image", "text", "gene_A", "gene_B"], (), FOLDER)
    cells: dict[str, Any] = {"image": " a.png ", "text": " a b ", "gene_A": "1.5", "gene_B": "NA"}
    sample = columns.sample(cells)
    assert sample == {"image": FOLDER / "a.png", "text": " a b ", "genomics": {"gene_A": 1.5, "gene_B": None}}
    assert columns.sample(cells | {"image": "/b.png"})["image"] == Path("/b.png")
    assert columns.sample(cells | {"gene_A": 2, "gene_B": float("nan")})["genomics"] == {"gene_A": 2.0, "gene_B": None}


def test_what_is_empty_is_not_sent() -> None:
    columns = choose(["image", "text", "gene_A"], (), FOLDER)
    assert columns.sample({"image": " ", "text": None, "gene_A": ""}) == {}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"image": b"bytes", "gene_A": 1}, "image: expected text in column 'image', found bytes"),
        ({"image": "a", "gene_A": "1,5"}, "genomics: expected a number or an empty cell in column 'gene_A', found"),
        ({"image": "a", "gene_A": [1]}, "genomics: expected a number"),
    ],
)
def test_a_cell_that_cannot_be_sent_is_refused(cells: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError) as caught:
        choose(["image", "gene_A"], (), FOLDER).sample(cells)
    assert str(caught.value).startswith(message)


def test_only_columns_of_the_modalities_that_matter_are_chosen() -> None:
    columns = ["audio", "image", "text", "gene_A"]
    assert choose(columns, (), FOLDER, ("image", "text")) == Columns(FOLDER, {"image": "image", "text": "text"})
    assert choose(columns, (), FOLDER, ("genomics",)) == Columns(FOLDER, {}, ("gene_A",))
    with pytest.raises(TableError, match="expected one of image, text, = and a column, found 'audio=audio'"):
        choose(columns, ("audio=audio",), FOLDER, ("image", "text"))
