"""The expected calibration error of binned confidences: as it is, without its bias, and what a calibrated model has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.binning import place
from training.measures.consistency import Band, band, chance, drawn_hits
from training.measures.debiasing import debiased
from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES, drawn_groups, members

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationError:
    """How far confidences are from the share of right answers, weighted over bins; all 0..1."""

    plug_in: float
    """Σ over bins of (samples in it / samples) · |mean confidence - share right|: too high for small samples."""
    debiased: Interval
    """Without the part that is noise."""
    band: Band
    chance: float
    """Share of perfectly calibrated models with these confidences that show as much as `plug_in`."""

    @property
    def inside(self) -> bool:
        """Whether a perfectly calibrated model might show this: at most the band's upper end (below is no fault)."""
        return self.plug_in <= self.band.high


def calibration_error(
    confidences: Floats,
    outcomes: NDArray[np.bool_],
    edges: Floats,
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
) -> CalibrationError:
    """The expected calibration error (ECE) of confidences in what is or is not so.

    The interval of the debiased ECE is a pivotal bootstrap: resamples are drawn from a world whose true ECE is the
    plug-in one, so how far their debiased ECE strays from that is how far ours may stray from the truth. It begins at
    0 wherever a perfectly calibrated model might show as much, for which the bootstrap alone is no judge (0 is the
    border of what can be). In simulations with 200 to 2000 samples it held the truth in about 0.9 to 0.95 of the cases.
    Bins stay as they are in all resamples.

    Args:
        confidences: `(samples,)` in 0..1.
        outcomes: `(samples,)` whether it is so: for the top label, whether the answer is right.
        edges: inner edges of the bins, rising; a bin is (low, high].
        groups: `(samples,)` samples of one group are resampled together, and their errors may go together.
        resamples: how many, of the interval and of the band.
    """
    bins, count = place(confidences, edges), len(edges) + 1
    cells = _cells(confidences, outcomes, bins, groups)
    plug_in, value = (float(one) for one in _errors(cells.sums(count)))
    drawn = drawn_groups(len(bins), groups, resamples)
    strayed = np.concatenate([_errors(cells.resampled(some, count))[1] for some in drawn]) - plug_in
    errors = calibrated_errors(confidences, bins, drawn_hits(confidences, bins, count, resamples))
    calibrated = band(errors)
    low, high = value - np.quantile(strayed, (0.975, 0.025))
    lowest = 0.0 if plug_in <= calibrated.high else float(np.clip(low, 0.0, value))
    interval = Interval(value, lowest, float(np.clip(high, value, 1.0)))
    return CalibrationError(plug_in, interval, calibrated, chance(errors, plug_in))


def point_errors(
    confidences: Floats, outcomes: NDArray[np.bool_], edges: Floats, groups: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """The plug-in and the debiased ECE alone; arguments as for `calibration_error`."""
    cells = _cells(confidences, outcomes, place(confidences, edges), groups)
    plug_in, value = _errors(cells.sums(len(edges) + 1))
    return float(plug_in), float(value)


def calibrated_errors(confidences: Floats, bins: NDArray[np.int64], hits: Floats) -> Floats:
    """`(resamples,)` plug-in ECE of `(resamples, bins)` drawn hits."""
    said = np.bincount(bins, weights=confidences, minlength=hits.shape[1])
    found: Floats = np.abs(hits - said).sum(axis=1) / len(confidences)
    return found


@dataclass(frozen=True)
class _Cells:
    """What the samples of one group in one bin add to the sums that errors and their noise are made of."""

    groups: NDArray[np.int64]
    bins: NDArray[np.int64]
    added: Floats
    """`(6, cells)`: of n samples with the sum s of their residuals (outcome - confidence): n, s, the sum of
    confidence · (1 - confidence), s², s·n and n²."""

    def sums(self, count: int) -> Floats:
        """`(6, bins)` over all groups."""
        return np.stack([np.bincount(self.bins, one, count) for one in self.added])

    def resampled(self, drawn: Floats, count: int) -> Floats:
        """`(some, 6, bins)` over groups that are `(some, groups)` often drawn."""
        parts = np.zeros((drawn.shape[1], 6, count))
        parts[self.groups, :, self.bins] = self.added.T
        found: Floats = (drawn @ parts.reshape(len(parts), -1)).reshape(-1, 6, count)
        return found


def _cells(
    confidences: Floats,
    outcomes: NDArray[np.bool_],
    bins: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
) -> _Cells:
    of, count = members(len(confidences), groups), int(bins.max()) + 1
    cells, places = np.unique(of * count + bins, return_inverse=True)
    samples = np.bincount(places).astype(np.float64)
    residuals, variances = (
        np.bincount(places, each) for each in (outcomes - confidences, confidences * (1 - confidences))
    )
    added = np.stack([samples, residuals, variances, residuals**2, residuals * samples, samples**2])
    return _Cells(cells // count, cells % count, added)


def _errors(sums: Floats) -> tuple[Floats, Floats]:
    """Plug-in and debiased ECE, each `(...)`, of `(..., 6, bins)` sums.

    A gap's noise is the spread of its groups' residuals. A sample of the variance that the confidences promise stands
    in for the degree of freedom that the mean takes: without it a bin where all are right would have no noise.
    """
    samples, residuals, variances, squares, products, sizes = np.moveaxis(sums, -2, 0)
    some = np.maximum(samples, 1.0)
    gaps = residuals / some
    spread = np.maximum(squares - 2 * gaps * products + gaps**2 * sizes, 0.0) + variances / some
    weights = samples / samples.sum(axis=-1, keepdims=True)
    plug_in: Floats = (weights * np.abs(gaps)).sum(axis=-1)
    return plug_in, debiased(weights, gaps, np.sqrt(spread) / some)
