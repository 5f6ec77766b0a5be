"""Less certain the farther an input lies from the training data: what divides the logits beside the temperature.

A temperature is fitted on samples like those of the training and says nothing of others: under noise a classifier may
well become more certain as it becomes wrong. So the logits of whatever uses a modality whose distance d is beyond its
threshold t are divided by (d / t)² as well, by the largest where there are several. Of samples like those of the
training at most one in a hundred lies beyond its threshold, so that for these hardly anything changes. The idea is that
of density-aware calibration (Tomani et al. 2023), without parameters to fit: d² is what the logarithm of a Gaussian
density falls by.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bundle.coalitions import membership


def divisors(
    distances: Mapping[str, NDArray[np.floating]], modalities: tuple[str, ...], thresholds: Mapping[str, float]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """What divides the logits of every coalition, `(batch, 2^M)`, and of every share, `(batch,)`; 1 or more.

    Args:
        distances: by modality, `(batch,)`; 0 where it is absent.
        modalities: in the manifest's order.
        thresholds: by modality; one without any is taken as it is.
    """
    count = len(next(iter(distances.values())))
    beyond = {
        name: np.maximum(1.0, distances[name].astype(np.float64) / thresholds[name]) ** 2
        if name in thresholds
        else np.ones(count)
        for name in modalities
    }
    every = np.stack(list(beyond.values()), axis=1)
    within = np.where(membership(len(modalities)), every[:, None], 1.0)
    found: NDArray[np.float64] = within.max(axis=2)
    return found, beyond
