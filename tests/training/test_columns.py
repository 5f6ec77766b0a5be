"""Columns give back what they were made of, and take no memory by the row."""

import gc
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.modalities import Image, Modality, Text
from bundle.modalities.modality import Array, Payload
from training.columns import Chosen, Column, Vectors, Words, compact
from training.pairs import Pairs, Source
from training.preparation import decode_all
from training.tokenizer import train_tokenizer

TEXTS = ["a", "", "naïve 日本", "two\nlines", "half \ud83d", "nul \0"]
NUMBERS: list[dict[str, float | None]] = [{"x": 1.5, "y": None}, {"x": -0.0, "y": 1e12}]


@pytest.mark.parametrize("items", [TEXTS, [Path("a/b.png"), Path("/c d")], NUMBERS, ["same"] * 3])
def test_a_column_is_the_sequence_it_was_made_of(items: Sequence[Any]) -> None:
    found = compact(items)
    assert isinstance(found, Column)
    assert list(found) == list(items) and found == items and items == found and len(found) == len(items)
    assert found[-1] == items[-1] and found[1:] == items[1:] and type(found[0]) is type(items[0])
    assert found != items[:-1] and found != [*items[:-1], "other"] and found != "other"
    for outside in (len(items), -len(items) - 1):
        with pytest.raises(IndexError):
            found[outside]
    assert compact(found) is found


@pytest.mark.parametrize("size", [10, 3_000])
def test_a_long_column_lies_in_a_file_and_is_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.columns.SMALL", 1_000)
    texts = [f"text {number}" for number in range(size)]
    values = np.random.default_rng(0).standard_normal((size, 3))
    vectors = Vectors("abc", values)
    assert Words(texts) == texts and np.array_equal(vectors.values, values)
    assert (vectors.values.base is not None) == (size > 10)
    assert not vectors.values.flags.writeable or size == 10


def test_what_is_of_several_kinds_stays_as_it_is() -> None:
    for items in ([], ["a", Path("a")], [{"x": 1.0}, {"y": 1.0}]):
        assert compact(items) is items


def test_chosen_items_are_in_the_order_asked_for() -> None:
    chosen = Chosen(Words(TEXTS), np.array([3, 0, 3]))
    assert chosen == [TEXTS[3], TEXTS[0], TEXTS[3]]


LEAST, MOST = 512, 2_560
KEPT, AT_MOST = 48, 150
"""Bytes of a row: numpy's numbers of class and group and name of the split, but not one Python object."""


def peak_and_rest(rows: int, folder: Path) -> tuple[int, int]:
    """Bytes allocated while `rows` pairs of a picture and a text are made and decoded, and those kept in the end."""
    tokenizer = Text(train_tokenizer(["some words of a text"], 60), 16)
    kinds: dict[str, Modality] = {"image": Image(4), "text": tokenizer}
    sources: dict[str, Sequence[Source]] = {
        "image": Words(f"picture {number}" for number in range(rows)),
        "text": Words(f"some words of a text {number}" for number in range(rows)),
    }
    numbers = np.arange(rows)
    splits = np.where(numbers % 5 < 3, "train", np.where(numbers % 5 == 3, "val", "test"))
    gc.collect()
    tracemalloc.start()
    names = Words(f"row {number}" for number in range(rows))
    pairs = Pairs(
        ("a", "b"), sources, numbers % 2, numbers, splits, names, {"site": Words("ab"[n % 2] for n in numbers)}
    )
    pairs.check()
    kept = decode_all(pairs, kinds, folder)
    assert sum(len(array) for array in kept.values()) == 2 * rows
    gc.collect()
    now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most, now


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: Image, payload: Payload) -> Array:
        return np.full((3, 4, 4), len(str(payload)), np.uint8)

    monkeypatch.setattr(Image, "decode", decode)
    monkeypatch.setattr("training.columns.SMALL", 1_000)
    peak_and_rest(LEAST, tmp_path / "warm")
    few, many = (peak_and_rest(rows, tmp_path / str(rows)) for rows in (LEAST, MOST))
    assert many[1] - few[1] < KEPT * (MOST - LEAST)
    assert many[0] - few[0] < AT_MOST * (MOST - LEAST)
