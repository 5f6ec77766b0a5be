"""Means, accuracies and differences of accuracies with 95 % intervals, resampled over groups where there are any."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.comparison.significance import Difference
from training.measures.resampling import RESAMPLES


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
    raise NotImplementedError


def accuracy_interval(
    right: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The share of `(samples,)` answers that are right, 0..1.

    Without groups the interval is Wilson's (1927), which needs no resampling and is no single point where every answer
    is right. With groups it is that of resampled groups, and at least Wilson's for as many samples as there are groups
    where all are right or all wrong.
    """
    raise NotImplementedError


def accuracy_difference(
    right: NDArray[np.bool_],
    other: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The accuracy of `right` minus that of `other`, both `(samples,)` for the same samples: a paired bootstrap."""
    raise NotImplementedError
