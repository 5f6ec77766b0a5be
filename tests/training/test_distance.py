"""The Gaussian-kernel distance against a naive double loop, and what it must be where the answer is known."""

import itertools
import math
from statistics import median

import numpy as np
import pytest

from training import distance as module
from training.distance import Vectors, bandwidth, discrepancy, distance


def drawn(count: int, width: int, seed: int, shift: float = 0.0) -> Vectors:
    return np.random.default_rng(seed).normal(shift, 1.0, (count, width))


def naive(first: Vectors, second: Vectors, width: float) -> float:
    """The estimator as it is written: over all ordered pairs of two different samples."""

    def kernel(u: Vectors, v: Vectors) -> float:
        return math.exp(-sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) / (2 * width**2))

    total, pairs = 0.0, 0
    for i, j in itertools.permutations(range(len(first)), 2):
        total += kernel(first[i], first[j]) + kernel(second[i], second[j])
        total -= kernel(first[i], second[j]) + kernel(second[i], first[j])
        pairs += 1
    return total / pairs


@pytest.mark.parametrize("rows", [2, 5, 100])
def test_it_is_the_double_loop(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    first, second = drawn(11, 3, 0), drawn(11, 3, 1, shift=0.7)
    assert discrepancy(first, second, 1.3) == pytest.approx(naive(first, second, 1.3), abs=1e-12)


def test_the_bandwidth_is_the_median_distance_of_the_pooled_features() -> None:
    first, second = drawn(6, 2, 0), drawn(6, 2, 1)
    pooled = [*first, *second]
    expected = median(float(np.linalg.norm(u - v)) for u, v in itertools.combinations(pooled, 2))
    assert bandwidth(first, second) == pytest.approx(expected)


def test_classes_are_measured_under_the_kernel_of_all_samples() -> None:
    first, second = drawn(9, 2, 0), drawn(9, 2, 1, shift=1.0)
    labels = np.array([0, 0, 0, 2, 2, 2, 2, 2, 5])  # one sample of class 5 has no distance
    found = distance(first, second, labels)
    expected = {
        label: naive(first[labels == label], second[labels == label], bandwidth(first, second)) for label in (0, 2)
    }
    assert found.by_class == pytest.approx(expected)
    assert found.within == pytest.approx((expected[0] + expected[2]) / 2)
    assert found.overall == pytest.approx(naive(first, second, found.bandwidth))


def test_without_two_samples_of_a_class_there_is_no_distance_within() -> None:
    assert math.isnan(distance(drawn(3, 2, 0), drawn(3, 2, 1), np.arange(3)).within)


def test_it_has_no_bias_even_where_true_pairs_are_alike() -> None:
    """Both modalities have one distribution and nearly equal pairs: the mean over many draws is 0."""
    found = []
    for seed in range(300):
        first, noise = drawn(8, 2, seed), drawn(8, 2, seed + 1000)
        found.append(discrepancy(first, 0.8 * first + 0.6 * noise, 1.0))  # of unit variance again
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))


def test_the_same_features_have_no_distance() -> None:
    first = drawn(8, 2, 0)
    assert discrepancy(first, first, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_it_grows_as_the_modalities_part() -> None:
    found = [distance(drawn(60, 3, 0), drawn(60, 3, 1, shift), np.zeros(60, int)).overall for shift in (0.0, 0.5, 2.0)]
    assert abs(found[0]) < 0.05 < found[1] < found[2]


def test_features_that_are_all_equal_have_no_distance() -> None:
    ones = np.ones((5, 2))
    assert distance(ones, ones, np.zeros(5, int)).overall == 0.0


def test_a_median_of_0_gives_way_to_the_mean() -> None:
    first = np.zeros((5, 1))
    second = np.array([[0.0], [0.0], [0.0], [0.0], [3.0]])
    assert bandwidth(first, second) == pytest.approx(9 * 3.0 / 45)


def test_many_features_are_sampled_for_the_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = drawn(300, 2, 0), drawn(300, 2, 1)
    exact = bandwidth(first, second)
    monkeypatch.setattr(module, "POOLED", 150)
    assert bandwidth(first, second) == bandwidth(first, second) == pytest.approx(exact, rel=0.1)
