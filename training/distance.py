"""How far apart two modalities' features lie: the Gaussian-kernel distance of Fig. 3 of InfoBridge, as figures.

The paper speaks of an "average Gaussian kernel distance" and gives no formula. Here it is the squared maximum mean
discrepancy (Gretton et al. 2012) between {z̃1} and {z̃2} under k(u, v) = exp(-|u - v|² / 2σ²), with |u - v| = σ at the
median of all pairs of the pooled features: 0 where both are distributed alike, growing as they part.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
POOLED = 2000
"""Features of each modality that the median is taken over; more are sampled down to so many, always the same."""
ROWS = 2048
"""Rows of the kernel matrix held at a time."""


@dataclass(frozen=True)
class Distance:
    """Between two modalities."""

    overall: float
    """Over all samples; estimated without bias, so a little below 0 at times."""
    within: float
    """The mean over the classes of the distance between samples of one class; NaN where no class has two samples."""
    by_class: dict[int, float]
    """By class index, for those with two samples or more."""
    bandwidth: float
    """σ, of all samples, for the classes too: figures under one kernel can be compared."""


def distance(first: Vectors, second: Vectors, labels: NDArray[np.int64]) -> Distance:
    """Distance of two modalities, over all samples and within each class.

    Args:
        first: `(samples, width)` features of one modality.
        second: `(samples, width)` of the other, for the same samples.
        labels: `(samples,)` class indices.
    """
    width = bandwidth(first, second)
    by_class = {}
    for label in np.unique(labels):
        member = labels == label
        if member.sum() > 1:
            by_class[int(label)] = discrepancy(first[member], second[member], width)
    within = float(np.mean(list(by_class.values()))) if by_class else float("nan")
    return Distance(discrepancy(first, second, width), within, by_class, width)


def bandwidth(first: Vectors, second: Vectors) -> float:
    """σ: the median distance between two different members of the pooled features; their mean where that is 0."""
    pooled = np.concatenate([_sampled(first), _sampled(second)])
    above = np.triu_indices(len(pooled), 1)
    distances = np.sqrt(_squared_distances(pooled, pooled)[above])
    return float(np.median(distances)) or float(distances.mean())


def discrepancy(first: Vectors, second: Vectors, width: float) -> float:
    """MMD² = 1 / n(n-1) Σ_{i≠j} [k(x_i, x_j) + k(y_i, y_j) - 2 k(x_i, y_j)], without bias (Lemma 6 of Gretton et al.).

    The features come in pairs, x_i and y_i of one sample, which are not independent: i = j is left out between the
    modalities too, else a method that draws true pairs together would seem to draw the distributions together.

    Args:
        first: x, `(samples, width)` with two samples or more.
        second: y, of the same shape.
        width: σ; at 0 all features are equal, and so is the distance.
    """
    assert first.shape == second.shape and len(first) > 1
    if width == 0.0:
        return 0.0
    own = _kernel_sum(first, first, width) + _kernel_sum(second, second, width)
    return (own - 2.0 * _kernel_sum(first, second, width)) / (len(first) * (len(first) - 1))


def _kernel_sum(first: Vectors, second: Vectors, width: float) -> float:
    """Σ_{i≠j} k(x_i, y_j)."""
    total = 0.0
    for start in range(0, len(first), ROWS):
        kernel = np.exp(_squared_distances(first[start : start + ROWS], second) / (-2.0 * width**2))
        rows = np.arange(len(kernel))
        kernel[rows, start + rows] = 0.0
        total += float(kernel.sum())
    return total


def _squared_distances(first: Vectors, second: Vectors) -> Vectors:
    lengths = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    found: Vectors = np.maximum(lengths - 2.0 * first @ second.T, 0.0)
    return found


def _sampled(vectors: Vectors) -> Vectors:
    if len(vectors) <= POOLED:
        return vectors
    return vectors[np.random.default_rng(0).choice(len(vectors), POOLED, replace=False)]
