"""Intervals of means, accuracies, differences and rank correlations: naive bootstraps, scipy, and the truth."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from training.comparison.significance import paired_bootstrap
from training.measures.intervals import Interval, accuracy_difference, accuracy_interval, mean_interval
from training.measures.rank import rank_correlation
from training.measures.resampling import CHUNK, drawn_groups, drawn_samples


def test_the_margin_is_half_the_width() -> None:
    assert Interval(0.5, 0.4, 0.7).margin == pytest.approx(0.15)


def test_every_resample_draws_as_many_groups_as_there_are() -> None:
    groups = np.array([5, 5, 9, 5, 7])
    for samples in drawn_samples(5, groups, 50):
        assert samples.shape == (50, 5)
        assert (samples[:, 0] == samples[:, 1]).all() and (samples[:, 0] == samples[:, 3]).all()
    drawn = np.concatenate(list(drawn_groups(5, groups, 3000)))
    assert (drawn.sum(axis=1) == 3).all()
    assert drawn.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.05)
    assert drawn.var(axis=0) == pytest.approx([2 / 3] * 3, abs=0.05), "3 draws of 1/3"


def test_large_resamples_come_in_chunks() -> None:
    size = CHUNK // 3
    assert [len(chunk) for chunk in drawn_groups(size, None, 7)] == [3, 3, 1]


def test_a_mean_has_the_interval_of_a_naive_bootstrap() -> None:
    generator = np.random.default_rng(0)
    values, groups = generator.exponential(1, 90), np.repeat(np.arange(30), 3)
    values += np.repeat(generator.normal(0, 1, 30), 3)
    means = []
    for _ in range(4000):
        drawn = generator.integers(30, size=30)
        means.append(np.mean([values[groups == group] for group in drawn]))
    found = mean_interval(values, groups, 4000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))), abs=0.03)
    assert mean_interval(values).margin < found.margin


def test_an_accuracy_has_wilsons_interval() -> None:
    right = np.arange(50) < 41
    found, expected = accuracy_interval(right), binomtest(41, 50).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((0.82, expected.low, expected.high))


def test_all_right_is_no_certainty_and_groups_count_as_one() -> None:
    all_right = accuracy_interval(np.ones(20, bool))
    assert (all_right.value, all_right.high) == (1.0, 1.0) and 0.8 < all_right.low < 0.85
    assert accuracy_interval(np.ones(60, bool), np.repeat(np.arange(20), 3)) == all_right
    none = accuracy_interval(np.zeros(60, bool), np.repeat(np.arange(20), 3))
    assert none.value == none.low == 0 and none.high == pytest.approx(1 - all_right.low)


def test_an_accuracy_over_groups_is_resampled_by_group() -> None:
    right = np.repeat(np.random.default_rng(1).random(40) < 0.7, 5)
    groups = np.repeat(np.arange(40), 5)
    found, single = accuracy_interval(right, groups), accuracy_interval(right[::5])
    assert found == mean_interval(right.astype(float), groups)
    assert found.margin == pytest.approx(single.margin, rel=0.15)
    assert found.margin > 1.8 * accuracy_interval(right).margin


def test_a_difference_is_that_of_the_paired_bootstrap() -> None:
    generator = np.random.default_rng(2)
    right, other = generator.random(80) < 0.8, generator.random(80) < 0.6
    groups = np.repeat(np.arange(20), 4)
    for given in (None, groups):
        by = np.arange(80) if given is None else given
        assert accuracy_difference(right, other, given, 500) == paired_bootstrap(right[None], other[None], by, 500)


def test_a_rank_correlation_is_scipys_with_the_interval_of_a_naive_bootstrap() -> None:
    generator = np.random.default_rng(3)
    one = generator.normal(0, 1, 60).round(1)
    other = (one + generator.normal(0, 1, 60)).round(1)  # with ties
    drawn = [generator.integers(60, size=60) for _ in range(2000)]
    naive = [float(spearmanr(one[each], other[each]).statistic) for each in drawn]
    found = rank_correlation(one, other, resamples=4000)
    assert found.value == pytest.approx(spearmanr(one, other).statistic)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(naive, (0.025, 0.975))), abs=0.03)


def test_only_ranks_matter_and_opposites_mirror() -> None:
    generator = np.random.default_rng(4)
    one, other = generator.normal(0, 1, 100), generator.normal(0, 1, 100)
    found = rank_correlation(one, other)
    assert rank_correlation(np.exp(one), other**3) == found
    mirrored = rank_correlation(-one, other)
    assert (-mirrored.value, -mirrored.high, -mirrored.low) == pytest.approx((found.value, found.low, found.high))
    perfect = rank_correlation(one, one)
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1, 1, 1))


def test_groups_are_drawn_whole_in_a_rank_correlation() -> None:
    generator = np.random.default_rng(5)
    one, other = generator.normal(0, 1, 60), generator.normal(0, 1, 60)
    four = np.repeat(np.arange(60), 4)
    alone, grouped = (rank_correlation(one[four], other[four], groups) for groups in (None, four))
    assert alone.value == grouped.value and grouped.margin > 1.6 * alone.margin


def test_what_is_the_same_for_all_has_no_rank() -> None:
    found = rank_correlation(np.ones(10), np.arange(10.0))
    assert math.isnan(found.value) and math.isnan(found.low) and math.isnan(found.high)
    assert rank_correlation(np.array([0.0, 1.0]), np.array([0.0, 1.0])).low == 1.0, (
        "resamples of one sample do not count"
    )
