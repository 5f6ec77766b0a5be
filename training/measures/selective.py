"""What is gained by not answering where confidence is low: risk against coverage (Geifman and El-Yaniv 2017)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES


@dataclass(frozen=True)
class RiskCoverage:
    """Error among the most confident answers, from few of them to all; equal confidences are answered together."""

    thresholds: NDArray[np.float64]
    """`(points,)` falling: answered is what is at least this confident."""
    coverage: NDArray[np.float64]
    """`(points,)` share of samples answered, rising to 1."""
    risk: NDArray[np.float64]
    """`(points,)` share of those that are wrong."""
    area: float
    """AURC: the risk averaged over answering the 1, 2, ... all most confident; 0..1, lower is better."""
    excess: float
    """`area` minus that of an order with every right answer before every wrong one, 0..1."""

    def accuracy_at(self, coverage: float) -> float:
        """Share right among the most confident `coverage` (above 0, to 1) of samples, 0..1.

        Among equal confidences, those answered are any: their mean counts.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Abstention:
    """A threshold of confidence below which to abstain, and what came of it where it was chosen."""

    abstain_below: float
    coverage: float
    """Share of samples answered."""
    risk: float
    """Share of those that are wrong."""
    risk_at_most: float
    """Upper end of its one-sided 95 % interval (Clopper and Pearson 1934), as though the threshold had been given."""


def risk_coverage(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> RiskCoverage:
    """The curve of `(samples,)` confidences and of which answers are right."""
    raise NotImplementedError


def area_interval(
    confidences: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The area under the risk-coverage curve (AURC), with the middle 95 % of its resamples."""
    raise NotImplementedError


def abstention(confidences: NDArray[np.float64], right: NDArray[np.bool_], risk: float) -> Abstention | None:
    """The lowest threshold whose answers are wrong in at most `risk` (0..1); None where no threshold reaches it."""
    raise NotImplementedError
