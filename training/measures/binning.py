"""Bins of confidences: of equal width, or with equally many samples; a bin is (low, high], as in Guo et al. (2017)."""

import numpy as np
from numpy.typing import NDArray


def equal_width(bins: int) -> NDArray[np.float64]:
    """Inner edges `(bins - 1,)` of bins of equal width in 0..1."""
    return np.linspace(0.0, 1.0, bins + 1)[1:-1]


def equal_mass(confidences: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Inner edges `(bins - 1,)` of bins with about the same number of samples; equal confidences stay together."""
    edges: NDArray[np.float64] = np.quantile(confidences, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    return edges


def place(confidences: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """`(samples,)` the bin of each confidence, from 0 to the number of edges."""
    return np.searchsorted(edges, confidences)
