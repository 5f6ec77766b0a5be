"""How often each sample is drawn in resamples with replacement, over groups where there are any."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
"""Unless asked otherwise."""
CHUNK = 4_000_000
"""Counts held at once."""


def counts(generator: np.random.Generator, resamples: int, size: int) -> NDArray[np.float64]:
    """`(resamples, size)`: how often each of `size` things is drawn in `size` draws with replacement."""
    drawn = generator.integers(size, size=(resamples, size)) + np.arange(resamples)[:, None] * size
    counted = np.bincount(drawn.ravel(), minlength=resamples * size)
    return counted.reshape(resamples, size).astype(np.float64)


def members(samples: int, groups: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """`(samples,)` the group of each sample, numbered from 0; without groups every sample is one."""
    if groups is None:
        return np.arange(samples)
    assert groups.shape == (samples,), "a group for each sample"
    numbered: NDArray[np.int64] = np.unique(groups, return_inverse=True)[1]
    return numbered


def drawn_groups(
    samples: int, groups: NDArray[np.int64] | None, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """Chunks of `(some, groups)`: how often each group is drawn; their rows together are `resamples`."""
    size = int(members(samples, groups).max()) + 1
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // max(size, samples))
    for start in range(0, resamples, step):
        yield counts(generator, min(resamples - start, step), size)


def drawn_samples(
    samples: int, groups: NDArray[np.int64] | None, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """Chunks of `(some, samples)`: how often each sample is drawn, the samples of a group as one."""
    of = members(samples, groups)
    for drawn in drawn_groups(samples, groups, resamples, seed):
        yield drawn if groups is None else drawn[:, of]
