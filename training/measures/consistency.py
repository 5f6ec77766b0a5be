"""What perfectly calibrated models would show: labels drawn from the predicted probabilities.

Consistency resampling of Bröcker and Smith (2007), with the confidences held as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.resampling import CHUNK, RESAMPLES


@dataclass(frozen=True)
class Band:
    """Expected calibration errors (plug-in) that a perfectly calibrated model with the same confidences would show."""

    low: float
    """2.5 % of such models show less."""
    high: float
    """2.5 % of such models show more."""
    upper: float
    """5 % of such models show more: the bound of a one-sided look."""
    mean: float
    """What they show on average: the plug-in's bias for a calibrated model."""


def band(errors: NDArray[np.float64]) -> Band:
    """The band of `(resamples,)` errors."""
    low, high, upper = np.quantile(errors, (0.025, 0.975, 0.95))
    return Band(float(low), float(high), float(upper), float(errors.mean()))


def chance(errors: NDArray[np.float64], measured: float) -> float:
    """Share of errors at least as large as the measured one; it is counted itself."""
    return (1 + int((errors >= measured - 1e-12).sum())) / (1 + len(errors))


def drawn_hits(
    confidences: NDArray[np.float64], bins: NDArray[np.int64], count: int, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """`(resamples, count)`: in each bin, how many of the samples come true as probably as their confidence says.

    Args:
        confidences: `(samples,)`.
        bins: `(samples,)` the bin of each.
        count: of bins.
        resamples: how many.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    order = np.argsort(bins, kind="stable")
    sorted_confidences = confidences[order]
    filled, starts = np.unique(bins[order], return_index=True)
    found = np.zeros((resamples, count))
    step = max(1, CHUNK // len(confidences))
    for start in range(0, resamples, step):
        some = min(resamples - start, step)
        true = generator.random((some, len(confidences))) < sorted_confidences
        found[start : start + some, filled] = np.add.reduceat(true, starts, axis=1, dtype=np.int64)
    return found


def drawn_class_hits(
    probabilities: NDArray[np.float64],
    bins: NDArray[np.int64],
    count: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """`(resamples, classes, count)`: for each class and each of its bins, how many samples get it as their label.

    One label is drawn for each sample, so that classes share the draws.

    Args:
        probabilities: `(samples, classes)`, rows sum to 1.
        bins: `(samples, classes)` the bin of each probability among those of its class.
        count: of bins.
        resamples: how many.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    classes = probabilities.shape[1]
    found = np.zeros((resamples, classes * count), dtype=np.float64)
    offset = np.arange(resamples) * classes * count
    places = bins + np.arange(classes) * count
    flat = np.zeros(found.size, dtype=np.int64)
    for row, bounds in zip(places, np.cumsum(probabilities, axis=1), strict=True):
        labels = np.searchsorted(bounds[:-1], generator.random(resamples), side="right")
        flat[offset + row[labels]] += 1
    return flat.reshape(resamples, classes, count).astype(np.float64)
