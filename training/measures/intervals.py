"""Means, accuracies and differences of accuracies with 95 % intervals, resampled over groups where there are any."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from training.comparison.significance import Difference, paired_bootstrap
from training.measures.resampling import RESAMPLES, drawn_groups, members


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the interval's width: what stands behind ±."""
        return (self.high - self.low) / 2


def mean_interval(
    values: NDArray[np.float64], groups: NDArray[np.int64] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The mean of `(samples,)` values, with the middle 95 % of its resamples."""
    of = members(len(values), groups)
    sums, sizes = np.bincount(of, weights=values), np.bincount(of).astype(np.float64)
    drawn = drawn_groups(len(values), groups, resamples, seed)
    found = np.concatenate([(some @ sums) / (some @ sizes) for some in drawn])
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def accuracy_interval(
    right: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The share of `(samples,)` answers that are right, 0..1.

    Without groups the interval is Wilson's (1927), which needs no resampling and is no single point where every answer
    is right. With groups it is that of resampled groups, but where all are right or all wrong, Wilson's for as many
    samples as there are groups.
    """
    share = float(right.mean())
    if groups is not None and 0.0 < share < 1.0:
        return mean_interval(right.astype(np.float64), groups, resamples, seed)
    size = int(members(len(right), groups).max()) + 1
    return replace(wilson(round(share * size), size), value=share)


def wilson(right: int, samples: int) -> Interval:
    """The share of `right` among `samples`, at least 1, with the interval of Wilson (1927), without correction.

    Unlike the normal interval it stays within 0..1 and has a width where all or none are right. Samples count as
    independent: where several are of one patient or series it is too narrow.
    """
    interval = binomtest(right, samples).proportion_ci(method="wilson")
    return Interval(right / samples, float(interval.low), float(interval.high))


def accuracy_difference(
    right: NDArray[np.bool_],
    other: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The accuracy of `right` minus that of `other`, both `(samples,)` for the same samples: a paired bootstrap."""
    return paired_bootstrap(right[None], other[None], members(len(right), groups), resamples, seed)
