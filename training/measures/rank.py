"""Whether what contributes more is missed more: Spearman's rank correlation with its interval."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES, drawn_samples

Floats = NDArray[np.float64]


def rank_correlation(
    one: Floats,
    other: Floats,
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Spearman's rank correlation, -1..1, of two `(samples,)` figures, with the middle 95 % of its resamples.

    NaN where one of them is the same for all samples.
    """
    if min(np.ptp(one), np.ptp(other)) == 0:
        return Interval(math.nan, math.nan, math.nan)
    found = []
    for drawn in drawn_samples(len(one), groups, resamples, seed):
        middle = (drawn.sum(axis=1, keepdims=True) + 1) / 2
        first, second = (_ranks(drawn, values) - middle for values in (one, other))
        weighted = drawn * first
        squares = (weighted * first).sum(axis=1) * (drawn * second**2).sum(axis=1)
        products = (weighted * second).sum(axis=1)
        found.append(products[squares > 0] / np.sqrt(squares[squares > 0]))  # in others all drawn are equal
    low, high = np.quantile(np.concatenate(found), (0.025, 0.975))
    return Interval(float(spearmanr(one, other).statistic), float(low), float(high))


def _ranks(drawn: Floats, values: Floats) -> Floats:
    """`(some, samples)` mean ranks from 1 of values drawn that often: W equal ones after m have m + (W + 1) / 2."""
    order = np.argsort(values, kind="stable")
    different, places = np.unique(values, return_inverse=True)
    starts = np.searchsorted(values[order], different)
    equal = np.add.reduceat(drawn[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(equal, axis=1) - (equal - 1) / 2)[:, places]
    return ranks
