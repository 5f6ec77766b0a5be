"""Genomics: named columns to a standardised vector."""

import json

import numpy as np
import pytest

from bundle.errors import InvalidInput, ManifestError
from bundle.modalities import Genomics

GENES = Genomics(
    columns=("A", "B", "C", "D"), medians=(1.0, 2.0, 3.0, 4.0), means=(0.5, -1.0, 2.0, 8.0), stds=(2.0, 0.5, 4.0, 1.0)
)


def test_columns_are_found_by_name_whatever_their_order() -> None:
    expected = [1.5, -2.0, 0.25, 1e6]
    for payload in (
        {"D": 1e6, "B": -2, "A": 1.5, "C": 0.25},
        b'{"C": 0.25, "A": 1.5, "D": 1000000, "B": -2}',
        "[1.5, -2, 0.25, 1e6]",
        [1.5, -2, 0.25, 1e6],
        np.array([1.5, -2, 0.25, 1e6]),
        b"D,C,B,A\n1e6,0.25,-2,1.5\n",
        b"\xef\xbb\xbfA,B,C,D\r\n1.5,-2,0.25,1000000\r\n",
        b"A,B,C,D\r1.5,-2,0.25,1000000\r",
        '"A", "B", "C", "D"\n 1.5, -2, 0.25, 1e6\n\n',
    ):
        vector = GENES.decode(payload)  # type: ignore[arg-type]
        assert vector.dtype == np.float32 and vector.shape == GENES.shape
        assert vector.tolist() == expected


@pytest.mark.parametrize(
    "payload",
    [
        {"A": 1.5, "C": None},
        {"A": 1.5, "C": float("nan")},
        '{"A": 1.5, "B": null}',
        '{"A": 1.5, "B": "NA", "D": ""}',
        [1.5, None, None, None],
        "[1.5, null, null, null]",
        "A,B,C,D\n1.5,,NaN,null",
        "A\n1.5",
    ],
)
def test_what_is_missing_takes_the_median_and_is_then_standardised(payload: str) -> None:
    vector = GENES.decode(payload)
    assert np.isnan(vector).tolist() == [False, True, True, True]
    filled = [1.5, *GENES.medians[1:]]
    expected = [(value - mean) / std for value, mean, std in zip(filled, GENES.means, GENES.stds, strict=True)]
    found = GENES.normalise(vector)
    assert found.dtype == np.float32 and found.shape == GENES.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("payload", [{"A": 1.0, "TP53": 2.0}, '{"TP53": 2}', "A,TP53\n1,2"])
def test_an_unknown_column_is_refused_by_name(payload: str) -> None:
    with pytest.raises(InvalidInput, match=r"only the 4 known columns \(such as A, B, C\), received 'TP53'"):
        GENES.decode(payload)


def test_a_near_miss_is_answered_with_what_was_meant() -> None:
    genes = Genomics(("BRCA1", "BRCA2", "TP53"), (0.0,) * 3, (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(InvalidInput, match=r"such as BRCA2, BRCA1\)"):
        genes.decode({"BRCA_2": 1.0})


def test_a_very_long_unknown_name_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidInput) as caught:
        GENES.decode({"x" * 1_000_000: 1.0})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("payload", [[1.0], [1.0] * 5, [], "[]", "[1, 2, 3]"])
def test_a_list_of_another_width_is_refused(payload: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected 4 values, received \d values"):
        GENES.decode(payload)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_literals_that_are_not_json_are_refused(literal: str) -> None:
    with pytest.raises(InvalidInput, match=f"received {literal}, which is not JSON"):
        GENES.decode(f'{{"A": {literal}}}')


@pytest.mark.parametrize(
    "payload", [{"B": float("inf")}, {"B": -1e300}, '{"B": 1e400}', '{"B": "inf"}', "A,B\n1,-inf", [0, 10**400, 0, 0]]
)
def test_what_is_not_finite_or_beyond_all_measure_is_refused(payload: str) -> None:
    with pytest.raises(InvalidInput, match=r"finite numbers of magnitude up to 1e\+12, received a larger one in 'B'"):
        GENES.decode(payload)


@pytest.mark.parametrize("payload", ['{"A": 1, "A": 2}', "A,B,A\n1,2,3"])
def test_a_column_given_twice_is_refused(payload: str) -> None:
    with pytest.raises(InvalidInput, match="each column once"):
        GENES.decode(payload)


@pytest.mark.parametrize("value", [True, [1.0], {"x": 1}, "one", "1_000", "١", b"1", np.complex64(1), object()])
def test_what_is_not_a_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"numbers or null, received .* in 'A'"):
        GENES.decode({"A": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("payload", [{}, "{}", '{"A": null}', [None] * 4, "A,B\n,"])
def test_a_sample_without_any_value_is_refused(payload: str) -> None:
    with pytest.raises(InvalidInput, match="at least one of 4 columns"):
        GENES.decode(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"   ",
        b"\xff\xfe",
        b"\x89PNG\r\n\x1a\n",
        "{",
        '{"A": 1',
        '{"A": 1} x',
        "[" * 100_000,
        "5",
        "A,B\n1",
        "A,B\n1,2\n3,4",
        "x" * 200_000 + "\n1",
        5,
        None,
        {1, 2},
    ],
)
def test_what_is_neither_json_nor_csv_is_refused(payload: object) -> None:
    with pytest.raises(InvalidInput):
        GENES.decode(payload)  # type: ignore[arg-type]


def test_an_example_is_read_back_by_name() -> None:
    payload = GENES.example(np.random.default_rng(0))
    values = json.loads(payload)
    vector = GENES.decode(payload)
    for position, column in enumerate(GENES.columns):
        assert (column in values) is not bool(np.isnan(vector[position]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ()}, "columns: expected one or more distinct names"),
        ({"columns": ("A", "B", "C", "A")}, "columns: expected one or more distinct names"),
        ({"columns": ("A", "B", "C", "")}, "columns: expected one or more distinct names"),
        ({"medians": (1.0,)}, "medians: expected 4, one for each column, found 1"),
        ({"means": (1.0,) * 5}, "means: expected 4, one for each column, found 5"),
        ({"stds": ()}, "stds: expected 4, one for each column, found 0"),
        ({"medians": (1.0, 2.0, float("nan"), 4.0)}, "medians of C: expected a finite number, found nan"),
        ({"means": (1.0, 2.0, float("inf"), 4.0)}, "means of C: expected a finite number, found inf"),
        ({"stds": (1.0, 0.0, 1.0, 1.0)}, "stds of B: expected a finite number over 0, found 0.0"),
        ({"stds": (1.0, -1.0, 1.0, 1.0)}, "stds of B: expected a finite number over 0, found -1.0"),
    ],
)
def test_parameters_without_sense_are_refused_at_construction(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Genomics(**{**GENES.parameters(), **changes})
    with pytest.raises(ManifestError, match=f"^parameters of genomics: {message}"):
        Genomics.checked({**GENES.parameters(), **changes})
