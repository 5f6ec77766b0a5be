"""Risk-coverage curves against naive loops over every order of equal confidences."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.calibrated import answers
from training.measures.selective import abstention, area_interval, risk_coverage

Floats = NDArray[np.float64]
Answers = NDArray[np.bool_]


def naive_area(right: list[bool]) -> float:
    """Of answers that are sorted already."""
    wrong, risks = 0, []
    for answered, one in enumerate(right, 1):
        wrong += not one
        risks.append(wrong / answered)
    return sum(risks) / len(risks)


def orders(confidences: Floats, right: Answers) -> list[list[bool]]:
    """The answers in every order of falling confidence."""
    found = []
    for order in itertools.permutations(range(len(right))):
        if all(confidences[a] >= confidences[b] for a, b in itertools.pairwise(order)):
            found.append([bool(right[index]) for index in order])
    return found


def test_the_area_is_that_of_a_loop() -> None:
    confidences, right = answers(300, np.random.default_rng(0))
    sorted_right = right[np.argsort(-confidences)].tolist()
    found = risk_coverage(confidences, right)
    assert found.area == pytest.approx(naive_area(sorted_right))
    assert found.excess == pytest.approx(found.area - naive_area(sorted(sorted_right, reverse=True)))
    assert found.coverage == pytest.approx(np.arange(1, 301) / 300)
    assert found.risk == pytest.approx(np.cumsum(~np.array(sorted_right)) / np.arange(1, 301))
    for coverage in (0.001, 0.1, 0.5, 1.0):
        answered = math.ceil(coverage * 300)
        assert found.accuracy_at(coverage) == pytest.approx(np.mean(sorted_right[:answered]))


def test_among_equal_confidences_every_order_counts_alike() -> None:
    confidences = np.array([0.5, 0.9, 0.5, 0.7, 0.5, 0.9, 0.7])
    right = np.array([True, False, False, True, False, True, True])
    every = orders(confidences, right)
    found = risk_coverage(confidences, right)
    assert len(every) == 2 * 2 * 6
    assert found.area == pytest.approx(np.mean([naive_area(order) for order in every]))
    for answered in range(1, 8):
        expected = np.mean([np.mean(order[:answered]) for order in every])
        assert found.accuracy_at(answered / 7) == pytest.approx(expected)
    assert found.thresholds.tolist() == [0.9, 0.7, 0.5]
    assert found.coverage == pytest.approx([2 / 7, 4 / 7, 1])
    assert found.risk == pytest.approx([1 / 2, 1 / 4, 3 / 7])


def test_the_order_of_samples_does_not_matter() -> None:
    confidences, right = answers(100, np.random.default_rng(1))
    confidences = confidences.round(1)
    shuffled = np.random.default_rng(2).permutation(100)
    one, other = risk_coverage(confidences, right), risk_coverage(confidences[shuffled], right[shuffled])
    assert one.area == pytest.approx(other.area) and np.array_equal(one.risk, other.risk)


@pytest.mark.parametrize(("share", "area"), [(1.0, 0.0), (0.0, 1.0)])
def test_all_right_or_all_wrong_leaves_nothing_to_gain(share: float, area: float) -> None:
    found = risk_coverage(np.linspace(0, 1, 10), np.full(10, share == 1.0))
    assert found.area == pytest.approx(area) and found.excess == pytest.approx(0.0)


def test_the_interval_is_that_of_a_naive_bootstrap() -> None:
    generator = np.random.default_rng(3)
    confidences, right = answers(60, generator)
    confidences = confidences.round(1)
    areas = []
    for _ in range(2000):
        drawn = generator.integers(60, size=60)
        areas.append(risk_coverage(confidences[drawn], right[drawn]).area)
    found = area_interval(confidences, right, resamples=4000)
    assert found.value == pytest.approx(risk_coverage(confidences, right).area)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, (0.025, 0.975))), abs=0.015)


def test_the_interval_holds_the_truth_and_groups_are_drawn_whole() -> None:
    generator = np.random.default_rng(4)
    true = risk_coverage(*answers(200_000, generator)).area
    held = 0
    for _ in range(100):
        found = area_interval(*answers(200, generator), resamples=200)
        held += found.low <= true <= found.high
    assert held >= 88
    confidences, right = answers(80, generator)
    four = np.repeat(np.arange(80), 4)
    alone, grouped = (area_interval(confidences[four], right[four], groups) for groups in (None, four))
    assert grouped.value == alone.value and grouped.margin > 1.6 * alone.margin


@pytest.mark.parametrize("risk", [0.0, 0.05, 0.2, 0.4, 1.0])
def test_the_threshold_answers_most_within_the_risk(risk: float) -> None:
    confidences, right = answers(200, np.random.default_rng(5))
    confidences = confidences.round(2)
    allowed = []
    for threshold in sorted(set(confidences.tolist())):
        answered = confidences >= threshold
        if (~right[answered]).mean() <= risk:
            allowed.append((answered.mean(), (~right[answered]).mean()))
    found = abstention(confidences, right, risk)
    if not allowed:
        assert found is None
        return
    assert found is not None and (found.coverage, found.risk) == pytest.approx(max(allowed))
    answered = confidences >= found.abstain_below
    assert answered.mean() == pytest.approx(found.coverage) and (~right[answered]).mean() <= risk
    assert found.risk < found.risk_at_most <= 1
    assert (found.abstain_below == 0) == (found.coverage == 1)


def test_a_risk_that_no_threshold_reaches_has_none() -> None:
    assert abstention(np.array([0.9, 0.8, 0.7]), np.array([False, True, True]), 0.1) is None
    assert abstention(np.array([0.9, 0.8]), np.array([False, False]), 0.5) is None


def test_of_20_right_answers_the_risk_is_at_most_14_percent() -> None:
    found = abstention(np.linspace(0.5, 1, 20), np.ones(20, bool), 0.1)
    assert found is not None and found.risk_at_most == pytest.approx(1 - 0.05 ** (1 / 20))
    wrong = abstention(np.linspace(0.5, 1, 20), np.zeros(20, bool), 1.0)
    assert wrong is not None and wrong.risk_at_most == 1.0
