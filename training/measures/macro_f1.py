"""F1 averaged over classes, with its interval: what accuracy hides where classes are uneven."""

import numpy as np
from numpy.typing import NDArray

from training.measures.intervals import Interval
from training.measures.resampling import RESAMPLES, drawn_samples


def macro_f1_interval(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Macro-F1 of `(samples,)` predictions, 0..1, with the middle 95 % of its resamples.

    Averaged over the classes that occur among labels or predictions; in a resample, over those that occur in it.
    """
    classes = np.union1d(labels, predicted)
    true, said = (each[:, None] == classes for each in (labels, predicted))
    columns = np.concatenate([true & said, true, said], axis=1).astype(np.float64)
    found = np.concatenate([_macro(drawn @ columns) for drawn in drawn_samples(len(labels), groups, resamples, seed)])
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(float(_macro(columns.sum(axis=0)[None])[0]), float(low), float(high))


def _macro(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(some,)` of `(some, 3 classes)` counts of hits, of labels and of predictions."""
    hits, labels, said = np.split(sums, 3, axis=1)
    occurring = labels + said
    each = np.divide(2 * hits, occurring, out=np.zeros_like(hits), where=occurring > 0)
    found: NDArray[np.float64] = each.sum(axis=1) / (occurring > 0).sum(axis=1)
    return found
