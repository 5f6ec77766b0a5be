"""Is a difference more than noise: a paired bootstrap over seeds and test samples, and Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.measures.resampling import CHUNK, counts


@dataclass(frozen=True)
class Difference:
    """The accuracy of one variant minus that of another, -1..1."""

    mean: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    p: float
    """Two-sided."""

    @property
    def verdict(self) -> str:
        """noise where the interval contains 0, else better or worse."""
        if self.low <= 0.0 <= self.high:
            return "noise"
        return "better" if self.mean > 0.0 else "worse"


def paired_bootstrap(
    right: NDArray[np.bool_],
    other: NDArray[np.bool_],
    groups: NDArray[np.int64],
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """The difference of two accuracies, resampling seeds and, independently, groups of test samples with replacement.

    Both variants always get the same seeds and samples. The interval holds the middle 95 % of the resampled
    differences; p is twice the smaller part of them on one side of 0, 0 included, with one counted in addition on
    either side, and at most 1.

    Args:
        right: `(seeds, samples)`, where the first variant is right.
        other: where the second is, with the same seeds and samples.
        groups: `(samples,)` samples of one group are resampled together; all different, samples are resampled.
        resamples: how many.
        seed: of the resampling.
    """
    assert right.shape == other.shape and right.shape[1:] == groups.shape, "the same seeds and samples"
    members = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(members).astype(np.float64)
    paired = right.astype(np.float64) - other  # sums of these are whole numbers, so that 0 is met exactly
    by_group = np.stack([np.bincount(members, weights=one) for one in paired])
    seeds, count = by_group.shape
    generator = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, max(1, CHUNK // count)):
        drawn = min(resamples - start, max(1, CHUNK // count))
        groupwise = counts(generator, drawn, count)
        sums = ((groupwise @ by_group.T) * counts(generator, drawn, seeds)).sum(axis=1)
        found.append(sums / (seeds * (groupwise @ sizes)))
    means = np.concatenate(found)
    low, high = np.quantile(means, (0.025, 0.975))
    below, above = (int((side >= 0).sum()) + 1 for side in (-means, means))
    p = min(1.0, 2 * min(below, above) / (resamples + 1))
    return Difference(float(paired.mean()), float(low), float(high), p)


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for being several (Holm 1979), in the given order."""
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted
