"""Coalitions: their order, their names, and Shapley values against the average over every order of arrival."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest

from bundle.coalitions import index, membership, names, shapley

COUNTS = range(1, 7)


def naive(values: np.ndarray, count: int) -> list[float]:
    """What each modality adds when it arrives, averaged over all orders in which they can arrive."""
    found = [0.0] * count
    for order in permutations(range(count)):
        there = 0
        for player in order:
            found[player] += values[there | 1 << player] - values[there]
            there |= 1 << player
    return [total / factorial(count) for total in found]


@pytest.mark.parametrize("count", COUNTS)
def test_shapley_values_are_the_average_over_every_order(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(3, 1 << count))
    found = shapley(values)
    assert found.shape == (3, count)
    for row in range(3):
        np.testing.assert_allclose(found[row], naive(values[row], count), atol=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_shapley_values_sum_to_all_minus_nothing(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(5, 1 << count))
    np.testing.assert_allclose(shapley(values).sum(axis=1), values[:, -1] - values[:, 0], atol=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_a_modality_that_changes_nothing_gets_exactly_0(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(2, 1 << count))
    for player in range(count):
        without = np.arange(1 << count) & ~(1 << player)
        assert (shapley(values[:, without])[:, player] == 0.0).all()


def test_modalities_that_can_be_exchanged_get_the_same() -> None:
    sizes = membership(4).sum(axis=1)
    found = shapley(np.random.default_rng(0).normal(size=5)[sizes][None])
    np.testing.assert_allclose(found, np.full((1, 4), found[0, 0]), atol=1e-12)


def test_values_that_add_up_are_shared_out_as_they_are() -> None:
    worth = np.array([0.5, -2.0, 3.0])
    np.testing.assert_allclose(shapley((1.0 + membership(3) @ worth)[None]), worth[None], atol=1e-12)


def test_coalitions_are_named_by_their_modalities_in_order() -> None:
    assert names(("audio",)) == ("", "audio")
    assert names(("audio", "video")) == ("", "audio", "video", "audio+video")
    assert names(("c", "b", "a"))[0b101] == "c+a" and len(names(("c", "b", "a"))) == 8


@pytest.mark.parametrize("count", COUNTS)
def test_a_coalition_is_found_by_who_is_in_it(count: int) -> None:
    rows = membership(count)
    assert rows.shape == (1 << count, count) and rows.dtype == np.bool_
    for number, row in enumerate(rows):
        assert number == sum(1 << position for position, there in enumerate(row) if there)
    np.testing.assert_array_equal(index(rows), np.arange(1 << count))
    assert not rows[0].any() and rows[-1].all()
