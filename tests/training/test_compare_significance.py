"""The paired bootstrap against a naive one, against exact probabilities and against the truth; Holm by hand."""

import itertools
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from training.comparison.significance import Difference, holm, paired_bootstrap

Right = NDArray[np.bool_]


def matrix(*rows: str) -> Right:
    """One row for each seed, 1 where the answer is right."""
    return np.asarray([[letter == "1" for letter in row] for row in rows])


def bootstrap(right: Right, other: Right, resamples: int = 10_000) -> Difference:
    return paired_bootstrap(right, other, np.arange(right.shape[1]), resamples)


def naive(right: Right, other: Right, resamples: int) -> list[float]:
    """Resampled differences, one answer after the other."""
    generator, found = random.Random(5), []
    seeds, samples = right.shape
    for _ in range(resamples):
        some_seeds = [generator.randrange(seeds) for _ in range(seeds)]
        some_samples = [generator.randrange(samples) for _ in range(samples)]
        drawn = [int(right[s, i]) - int(other[s, i]) for s in some_seeds for i in some_samples]
        found.append(sum(drawn) / len(drawn))
    return found


def test_it_agrees_with_a_naive_bootstrap() -> None:
    generator = np.random.default_rng(3)
    right, other = generator.random((4, 30)) < 0.75, generator.random((4, 30)) < 0.6
    found, drawn = bootstrap(right, other), sorted(naive(right, other, 4000))
    assert found.mean == pytest.approx(right.mean() - other.mean())
    assert found.low == pytest.approx(drawn[100], abs=0.02)
    assert found.high == pytest.approx(drawn[-101], abs=0.02)
    below = sum(one <= 0 for one in drawn) / len(drawn)
    assert found.p == pytest.approx(2 * below, abs=0.02)


def test_it_agrees_with_the_exact_probabilities_of_a_tiny_example() -> None:
    right, other = matrix("110", "111"), matrix("011", "100")
    paired = right.astype(float) - other
    exact = [
        np.mean([[paired[s, i] for i in samples] for s in seeds])
        for seeds in itertools.product(range(2), repeat=2)
        for samples in itertools.product(range(3), repeat=3)
    ]
    found = bootstrap(right, other, 40_000)
    sides = [np.mean([one <= 1e-12 for one in exact]), np.mean([one >= -1e-12 for one in exact])]
    assert found.p == pytest.approx(min(1.0, 2 * min(sides)), abs=0.01)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(exact, (0.025, 0.975))), abs=1e-9)


@pytest.mark.parametrize(("right", "other", "verdict"), [(0.8, 0.5, "better"), (0.5, 0.8, "worse")])
def test_a_plain_difference_has_its_direction(right: float, other: float, verdict: str) -> None:
    answers = np.arange(200) / 200
    found = bootstrap(np.tile(answers < right, (3, 1)), np.tile(answers < other, (3, 1)))
    assert found.verdict == verdict and found.p < 0.001
    assert found.mean == pytest.approx(right - other)
    assert found.low < found.mean < found.high


def test_equal_answers_are_noise() -> None:
    right = matrix("1101", "0111")
    assert bootstrap(right, right) == Difference(0.0, 0.0, 0.0, 1.0)
    assert bootstrap(right, right).verdict == "noise"


def test_the_smallest_p_is_that_of_the_added_one() -> None:
    found = bootstrap(np.ones((2, 9), bool), np.zeros((2, 9), bool), 999)
    assert found.p == 2 / 1000 and found.verdict == "better"


def test_swapping_the_variants_mirrors_the_result() -> None:
    generator = np.random.default_rng(1)
    right, other = generator.random((5, 40)) < 0.7, generator.random((5, 40)) < 0.6
    one, two = bootstrap(right, other), bootstrap(other, right)
    assert (one.mean, one.p) == (-two.mean, two.p)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))


def test_seeds_that_disagree_widen_the_interval() -> None:
    same = np.tile(matrix("1" * 60 + "0" * 40), (4, 1))
    steady = np.tile(matrix("1" * 50 + "0" * 50), (4, 1))
    wild = matrix("1" * 90 + "0" * 10, "0" * 100, "1" * 100, "1" * 10 + "0" * 90)
    assert wild.mean() == steady.mean()
    assert bootstrap(same, steady).verdict == "better" and bootstrap(same, wild).verdict == "noise"


def test_samples_of_a_group_count_once() -> None:
    generator = np.random.default_rng(2)
    right, other = generator.random((3, 50)) < 0.8, generator.random((3, 50)) < 0.6
    twice = np.repeat(np.arange(50), 2)
    found = paired_bootstrap(right[:, twice], other[:, twice], twice * 7)
    assert found == bootstrap(right, other)
    alone = bootstrap(right[:, twice], other[:, twice])
    assert alone.high - alone.low < found.high - found.low


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Samples of different difficulty, seeds of different skill: over new samples and seeds, 95 % or a little more."""
    generator, covered, found, null = np.random.default_rng(0), 0, 0, 0
    trials, truth = 200, 0.1
    for _ in range(trials):
        difficulty = generator.normal(0, 0.15, 120)
        skill = generator.normal(0, 0.02, (3, 6, 1))
        chances = [np.clip(0.6 + gain + difficulty + own, 0, 1) for gain, own in zip((truth, 0, 0), skill, strict=True)]
        better, other, same = (generator.random((6, 120)) < chance for chance in chances)
        result = bootstrap(better, other, 500)
        covered += result.low <= truth <= result.high
        found += result.verdict == "better"
        null += bootstrap(same, other, 500).verdict != "noise"
    assert covered / trials >= 0.93
    assert found / trials > 0.6, "and a real difference of 10 points is mostly found"
    assert null / trials <= 0.07


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.2, 0.5, 0.9], [0.6, 1.0, 1.0]),
        ([0.04], [0.04]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(p: list[float], adjusted: list[float]) -> None:
    assert holm(p) == pytest.approx(adjusted)
