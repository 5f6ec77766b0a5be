"""Joint features in the plane by t-SNE, as Fig. 4 of InfoBridge shows them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

PERPLEXITY = 30.0
MOST = 3000
"""Samples shown; more are sampled down to so many, always the same."""
LEAST = 4
"""Samples below which there is nothing to arrange."""


def joint(features: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """`(samples, sum of widths)`: the modalities' features side by side, each at unit length so that none outweighs."""
    lengths = {name: np.linalg.norm(values, axis=1, keepdims=True) for name, values in features.items()}
    return np.concatenate([values / np.maximum(lengths[name], 1e-12) for name, values in features.items()], axis=1)


def shown(count: int) -> NDArray[np.int64]:
    """Positions of the samples that are shown, of `count`."""
    if count <= MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST, replace=False))


def perplexity(count: int) -> float:
    """30, or a third of the other samples where there are few."""
    return min(PERPLEXITY, (count - 1) / 3.0)


def embed(points: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """`(samples, 2)`, the same each time; None where there are too few points, or all of them are the same."""
    if len(points) < LEAST or not np.ptp(points, axis=0).any():
        return None
    found: NDArray[np.float32] = TSNE(
        perplexity=perplexity(len(points)), init="pca", learning_rate="auto", random_state=0
    ).fit_transform(points)
    return found
