"""Whether what contributes more is missed more: Spearman's rank correlation with its interval."""

import numpy as np
from numpy.typing import NDArray

from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES


def rank_correlation(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Spearman's rank correlation, -1..1, of two `(samples,)` figures, with the middle 95 % of its resamples.

    NaN where one of them is the same for all samples.
    """
    raise NotImplementedError
