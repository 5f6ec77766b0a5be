"""Everything that is said of how far one output's probabilities can be believed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bundle.answer import softmax
from training.errors import DataError
from training.measures.binning import equal_mass, equal_width, place
from training.measures.calibration_error import CalibrationError, calibrated_errors, calibration_error, point_errors
from training.measures.consistency import Band, band, chance, drawn_class_hits
from training.measures.intervals import Interval, accuracy_interval, mean_interval
from training.measures.reliability import Bin, reliability

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
    """Mean probability of this class over all samples."""
    share: float
    """Share of the samples that are of this class: what `probability` should be."""
    brier: float
    """Mean squared error of its probability, 0..1."""
    plug_in: float
    """ECE of its probability over all samples, with bins of equal mass, 0..1."""
    debiased: float
    """The same without the part that is noise."""
    band: Band
    """What a perfectly calibrated model would show."""
    chance: float
    """Share of perfectly calibrated models with these probabilities that show as much as `plug_in`."""

    @property
    def inside(self) -> bool:
        """Whether a perfectly calibrated model might show this."""
        return self.plug_in <= self.band.high


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
    true = probabilities[np.arange(len(labels)), labels]
    found: NDArray[np.float64] = (probabilities**2).sum(axis=1) - 2 * true + 1
    return found


def negative_log_likelihood(
    logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float = 1.0
) -> NDArray[np.float64]:
    """`(samples,)` -log softmax(logits / temperature)[label] in nats, of `(samples, classes)` logits."""
    logarithms: NDArray[np.float64] = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return -logarithms[np.arange(len(labels)), labels]


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
    if not len(labels) or not np.isfinite(logits).all():
        raise DataError(f"expected samples with finite logits to measure, got {len(labels)} samples")
    probabilities = softmax(logits, temperature)
    confidences, right = probabilities.max(axis=1), logits.argmax(axis=1) == labels
    mass, width = equal_mass(confidences, bins), equal_width(bins)
    return CalibrationFigures(
        samples=len(labels),
        temperature=temperature,
        accuracy=accuracy_interval(right, groups),
        confidence=float(confidences.mean()),
        equal_mass=calibration_error(confidences, right, mass, groups),
        equal_width=calibration_error(confidences, right, width, groups),
        brier=mean_interval(brier(probabilities, labels), groups),
        nll=mean_interval(negative_log_likelihood(logits, labels, temperature), groups),
        reliability_mass=reliability(confidences, right, mass),
        reliability_width=reliability(confidences, right, width),
        classes=class_calibration(probabilities, labels, groups, bins),
    )


def class_calibration(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    bins: int = BINS,
) -> tuple[ClassCalibration, ...]:
    """Each class against all others, for those with `LEAST` samples of their own and of others.

    Args:
        probabilities: `(samples, classes)`.
        labels: `(samples,)` true classes.
        groups: `(samples,)` samples whose errors may go together.
        bins: of equal mass.
    """
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    enough = np.flatnonzero((counts >= LEAST) & (len(labels) - counts >= LEAST))
    if not len(enough):
        return ()
    edges = [equal_mass(column, bins) for column in probabilities.T]
    placed = np.stack([place(column, inner) for column, inner in zip(probabilities.T, edges, strict=True)], axis=1)
    hits = drawn_class_hits(probabilities, placed, bins)
    found = []
    for label in enough:
        own, is_so = probabilities[:, label], labels == label
        plug_in, value = point_errors(own, is_so, edges[label], groups)
        errors = calibrated_errors(own, placed[:, label], hits[:, label])
        said, share, squares = (float(each.mean()) for each in (own, is_so, (own - is_so) ** 2))
        figures = (plug_in, value, band(errors), chance(errors, plug_in))
        found.append(ClassCalibration(int(label), int(counts[label]), said, share, squares, *figures))
    return tuple(found)
