"""k-means that gives the same clusters each time, and clusters that keep their numbers from one time to the next."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Points = NDArray[np.float32]
RESTARTS = 4
STEPS = 100


def kmeans(points: Points, count: int, generator: np.random.Generator) -> Points:
    """Centroids `(count, width)` of points `(samples, width)`: Lloyd's steps from k-means++ starts, the best of a few.

    A centroid that no point is nearest to stays where it is.
    """
    assert len(points) >= count
    found = [_lloyd(points, _start(points, count, generator)) for _ in range(RESTARTS)]
    return min(found, key=lambda centroids: float(squared_distances(points, centroids).min(axis=1).sum()))


def match(centroids: Points, previous: Points) -> Points:
    """The centroids in the order that brings each nearest to the previous one of its number, by the Hungarian method:
    the sum of squared distances is the smallest that any order has.
    """
    _, order = linear_sum_assignment(squared_distances(previous, centroids))
    matched: Points = centroids[order]
    return matched


def squared_distances(points: Points, centroids: Points) -> Points:
    """`(samples, count)`, never negative."""
    lengths = (points**2).sum(axis=1)[:, None] + (centroids**2).sum(axis=1)
    found: Points = np.maximum(lengths - 2.0 * points @ centroids.T, 0.0)
    return found


def _start(points: Points, count: int, generator: np.random.Generator) -> Points:
    """Points drawn one after another, each in proportion to its squared distance from those drawn before."""
    chosen = [int(generator.integers(len(points)))]
    while len(chosen) < count:
        weights = squared_distances(points, points[chosen]).min(axis=1).astype(np.float64) + 1e-12
        chosen.append(int(generator.choice(len(points), p=weights / weights.sum())))
    return points[chosen]


def _lloyd(points: Points, centroids: Points) -> Points:
    numbers = np.arange(len(centroids))
    nearest = None
    for _ in range(STEPS):
        before, nearest = nearest, squared_distances(points, centroids).argmin(axis=1)
        if before is not None and np.array_equal(before, nearest):
            break
        member = (nearest == numbers[:, None]).astype(np.float32)
        sizes = member.sum(axis=1)[:, None]
        centroids = np.where(sizes > 0, member @ points / np.maximum(sizes, 1.0), centroids)
    return centroids
