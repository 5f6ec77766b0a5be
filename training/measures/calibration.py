"""Everything that is said of how far one output's probabilities can be believed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.calibration_error import CalibrationError
from training.measures.intervals import Interval
from training.measures.reliability import Bin

BINS = 15
"""As in Guo et al. (2017)."""
LEAST = 30
"""Samples of a class, and samples of others, that its own calibration needs."""


@dataclass(frozen=True)
class ClassCalibration:
    """How far the probabilities of one class can be believed, for that class against all others."""

    label: int
    samples: int
    """Of this class."""
    probability: float
    """Mean probability of this class over all samples; that many there should be."""
    share: float
    """Share of the samples that are of this class."""
    brier: float
    """Mean squared error of its probability, 0..1."""
    error: CalibrationError
    """With bins of equal mass over all samples' probabilities of this class."""


@dataclass(frozen=True)
class CalibrationFigures:
    """One output at one temperature on one split."""

    samples: int
    temperature: float
    accuracy: Interval
    confidence: float
    """Mean probability of the predicted class."""
    equal_mass: CalibrationError
    """Of the predicted class (top label), with bins of equal mass."""
    equal_width: CalibrationError
    """Of the predicted class, with bins of equal width."""
    brier: Interval
    """Σ over classes of squared errors, averaged over samples, 0..2."""
    nll: Interval
    """Negative log-likelihood in nats, averaged over samples."""
    reliability_mass: tuple[Bin, ...]
    """The bins of `equal_mass`."""
    reliability_width: tuple[Bin, ...]
    """The bins of `equal_width`."""
    classes: tuple[ClassCalibration, ...]
    """Those with enough samples, by label."""


def brier(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(samples,)` Brier scores, 0..2, of `(samples, classes)` probabilities."""
    raise NotImplementedError


def negative_log_likelihood(
    logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float = 1.0
) -> NDArray[np.float64]:
    """`(samples,)` -log softmax(logits / temperature)[label] in nats, of `(samples, classes)` logits."""
    raise NotImplementedError


def calibration_figures(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    temperature: float = 1.0,
    groups: NDArray[np.int64] | None = None,
    bins: int = BINS,
) -> CalibrationFigures:
    """Measure softmax(logits / temperature) on one split.

    Args:
        logits: `(samples, classes)`.
        labels: `(samples,)` true classes.
        temperature: above 0.
        groups: `(samples,)` samples of one group are resampled together.
        bins: of both kinds.

    Raises:
        DataError: there is no sample, or a logit is not finite.
    """
    raise NotImplementedError
