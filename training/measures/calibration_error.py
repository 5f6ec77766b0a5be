"""The expected calibration error of binned confidences: as it is, without its bias, and what a calibrated model has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES


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


@dataclass(frozen=True)
class CalibrationError:
    """How far confidences are from the share of right answers, weighted over bins, all 0..1."""

    plug_in: float
    """Σ over bins of (samples in it / samples) · |mean confidence - share right|: too high for small samples."""
    debiased: Interval
    """Without the part that is noise."""
    band: Band
    chance: float
    """Share of perfectly calibrated models of this size and with these confidences that show as much as `plug_in`."""

    @property
    def inside(self) -> bool:
        """Whether a perfectly calibrated model might show this: at most the band's upper end (below is no fault)."""
        return self.plug_in <= self.band.high


def equal_width(bins: int) -> NDArray[np.float64]:
    """Inner edges `(bins - 1,)` of bins of equal width in 0..1."""
    raise NotImplementedError


def equal_mass(confidences: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Inner edges `(bins - 1,)` of bins with about the same number of samples; equal confidences stay together."""
    raise NotImplementedError


def calibration_error(
    confidences: NDArray[np.float64],
    outcomes: NDArray[np.bool_],
    edges: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
) -> CalibrationError:
    """The expected calibration error of confidences in what is or is not so.

    Args:
        confidences: `(samples,)` in 0..1.
        outcomes: `(samples,)` whether it is so: for the top label, whether the answer is right.
        edges: inner edges of the bins, rising; a bin is (low, high].
        groups: `(samples,)` samples of one group are resampled together.
        resamples: how many, of the interval and of the band.
    """
    raise NotImplementedError
