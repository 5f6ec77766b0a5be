"""What is gained by not answering where confidence is low: risk against coverage (Geifman and El-Yaniv 2017)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES, drawn_samples

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RiskCoverage:
    """Error among the most confident answers, from few of them to all; equal confidences are answered together."""

    samples: int
    thresholds: Floats
    """`(points,)` falling: answered is what is at least this confident."""
    coverage: Floats
    """`(points,)` share of samples answered, rising to 1."""
    risk: Floats
    """`(points,)` share of those that are wrong."""
    area: float
    """AURC: the risk averaged over answering the 1, 2, ... all most confident; 0..1, lower is better."""
    excess: float
    """`area` minus that of an order with every right answer before every wrong one, 0..1."""

    def accuracy_at(self, coverage: float) -> float:
        """Share right among the most confident `coverage` (above 0, to 1) of samples, rounded up to whole ones; 0..1.

        Among equal confidences, those answered are any: their mean counts.
        """
        assert 0 < coverage <= 1, "a share of the samples"
        answered = math.ceil(coverage * self.samples - 1e-9)
        counts = np.concatenate([[0.0], self.coverage * self.samples])
        wrong = np.concatenate([[0.0], self.coverage * self.samples * self.risk])
        return 1 - float(np.interp(answered, counts, wrong)) / answered


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


def risk_coverage(confidences: Floats, right: NDArray[np.bool_]) -> RiskCoverage:
    """The curve of `(samples,)` confidences and of which answers are right."""
    thresholds, places = _places(confidences)
    answered = np.bincount(places).astype(np.float64)
    wrong = np.bincount(places[~right], minlength=len(thresholds)).astype(np.float64)
    area = float(_area(answered, wrong))
    errors = int(wrong.sum())
    best = float(_area(np.array([len(right) - errors, errors], np.float64), np.array([0.0, errors], np.float64)))
    counts = np.cumsum(answered)
    return RiskCoverage(
        len(right), thresholds, counts / len(right), np.cumsum(wrong) / counts, area, max(0.0, area - best)
    )


def area_interval(
    confidences: Floats,
    right: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The area under the risk-coverage curve (AURC), with the middle 95 % of its resamples."""
    thresholds, places = _places(confidences)
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(len(thresholds)))
    mistakes = (~right)[order].astype(np.float64)
    found = []
    for drawn in drawn_samples(len(right), groups, resamples, seed):
        counts = drawn[:, order]
        answered, wrong = (np.add.reduceat(each, starts, axis=1) for each in (counts, counts * mistakes))
        found.append(_area(answered, wrong))
    low, high = np.quantile(np.concatenate(found), (0.025, 0.975))
    value = _area(
        np.bincount(places).astype(np.float64),
        np.bincount(places[~right], minlength=len(thresholds)).astype(np.float64),
    )
    return Interval(float(value), float(low), float(high))


def abstention(confidences: Floats, right: NDArray[np.bool_], risk: float) -> Abstention | None:
    """The threshold that answers most with at most `risk` (0..1) of the answers wrong; None where none reaches it.

    Where all can be answered it is 0.
    """
    curve = risk_coverage(confidences, right)
    reached = np.flatnonzero(curve.risk <= risk + 1e-12)
    if not len(reached):
        return None
    point = reached[-1]
    coverage, found = float(curve.coverage[point]), float(curve.risk[point])
    answered = round(coverage * curve.samples)
    wrong = round(found * answered)
    most = 1.0 if wrong == answered else float(beta.ppf(0.95, wrong + 1, answered - wrong))
    threshold = 0.0 if answered == curve.samples else float(curve.thresholds[point])
    return Abstention(threshold, coverage, found, most)


def _places(confidences: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The different confidences, falling, and the place of each sample's among them."""
    found, places = np.unique(-confidences, return_inverse=True)
    return -found, places


def _area(answered: Floats, wrong: Floats) -> Floats:
    """`(...)` AURC of `(..., points)` numbers of answers of equal confidence, and of wrong ones among them.

    Within a tie the order is any, so that the expected number of wrong answers rises evenly: the k-th of W answers
    after m others with E wrong has the risk (E + k e) / (m + k) with e the tie's own. Those sum to
    W e + (E - m e) (H(m + W) - H(m)) with harmonic numbers H.
    """
    before = np.cumsum(answered, axis=-1) - answered
    wrong_before = np.cumsum(wrong, axis=-1) - wrong
    own = np.divide(wrong, answered, out=np.zeros_like(wrong), where=answered > 0)
    totals = answered.sum(axis=-1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(totals.max()) + 1))])
    first = before.astype(np.int64)
    grown = harmonic[first + answered.astype(np.int64)] - harmonic[first]
    found: Floats = (wrong + (wrong_before - before * own) * grown).sum(axis=-1) / totals
    return found
