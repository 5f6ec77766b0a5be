"""A reliability diagram's bins, with bars that say how far a calibrated model may stray (Bröcker and Smith 2007)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.binning import place
from training.measures.consistency import drawn_hits
from training.measures.resampling import RESAMPLES


@dataclass(frozen=True)
class Bin:
    """Samples of similar confidence; all but `samples` 0..1."""

    samples: int
    confidence: float
    """Mean confidence."""
    accuracy: float
    """Share that is right."""
    low: float
    """In a perfectly calibrated model, 2.5 % have a lower accuracy in this bin."""
    high: float
    """In a perfectly calibrated model, 2.5 % have a higher accuracy in this bin."""


def reliability(
    confidences: NDArray[np.float64],
    outcomes: NDArray[np.bool_],
    edges: NDArray[np.float64],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Bin, ...]:
    """Bins by rising confidence, those without samples left out; arguments as for `calibration_error`."""
    bins, count = place(confidences, edges), len(edges) + 1
    samples = np.bincount(bins, minlength=count)
    said = np.bincount(bins, weights=confidences, minlength=count)
    true = np.bincount(bins, weights=outcomes, minlength=count)
    bars = np.quantile(drawn_hits(confidences, bins, count, resamples, seed), (0.025, 0.975), axis=0)
    return tuple(
        Bin(int(size), *(float(sums[index] / size) for sums in (said, true, *bars)))
        for index, size in enumerate(samples)
        if size
    )
