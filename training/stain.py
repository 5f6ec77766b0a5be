"""Stain normalisation (Vahadane et al. 2016): a tile's two stains are found, and exchanged for those of a reference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

Floats = NDArray[np.float64]
Tile = NDArray[np.uint8]
SPARSITY = 0.1
"""λ of the paper's objective: weight of the sum of the amounts."""
TISSUE = 0.15
"""Mean optical density over which a pixel is tissue and not glass."""
PIXELS = 50_000
"""Of tissue, evenly chosen, from which the stains are learned."""
FEWEST = 100
"""Pixels of tissue, for there to be anything to learn from."""
ROUNDS = 200
"""Alternations at most."""
ENOUGH = 1e-7
"""Relative fall of the objective at which the alternation ends."""
START = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]).T
"""Haematoxylin and eosin (Ruifrok and Johnston 2001): where the alternation begins, so that it has no chance in it."""
STRONG = 99.0
"""Percentile of the amounts that is taken for the strength of a stain."""


@dataclass(frozen=True)
class Stains:
    """The colours of haematoxylin and eosin in one tile, and how strong they are there."""

    colours: Floats
    """`(3, 2)`: optical density of red, green, blue of each, of length 1, not negative; haematoxylin first."""
    strengths: Floats
    """`(2,)`: the 99th percentile of their amounts in tissue."""


def density(tile: Tile) -> Floats:
    """`(height, width, 3)` pixels to optical densities `(height * width, 3)`; white, 255, is 0."""
    return np.asarray(-np.log((tile.reshape(-1, 3).astype(np.float64) + 1.0) / 256.0))


def amounts(densities: Floats, colours: Floats, sparsity: float = SPARSITY) -> Floats:
    """How much of each stain is in each pixel: `(pixels, 2)`.

    The minimum of ½‖v − W h‖² + λ Σ h over h ≥ 0. With two stains there are four cases, both, either and none, and the
    best of those that are not negative is the minimum.
    """
    gram = colours.T @ colours
    wanted = densities @ colours - sparsity
    both = np.linalg.solve(gram, wanted.T).T
    found = np.where(both.min(axis=1, keepdims=True) >= 0, both, 0.0)
    for stain in range(2):
        alone = np.zeros_like(found)
        alone[:, stain] = np.maximum(wanted[:, stain] / gram[stain, stain], 0.0)
        better = _cost(alone, gram, wanted) < _cost(found, gram, wanted)
        found[better] = alone[better]
    return found


def _cost(found: Floats, gram: Floats, wanted: Floats) -> Floats:
    """The objective of each pixel, less what does not depend on the amounts."""
    return np.asarray(0.5 * np.einsum("pi,ij,pj->p", found, gram, found) - np.einsum("pi,pi->p", found, wanted))


def objective(densities: Floats, colours: Floats, found: Floats, sparsity: float = SPARSITY) -> float:
    """½‖V − H Wᵀ‖² + λ Σ H, for each pixel: what learning the stains makes small."""
    rest = densities - found @ colours.T
    return float(0.5 * np.square(rest).sum(axis=1).mean() + sparsity * found.sum(axis=1).mean())


def stains_of(tile: Tile, sparsity: float = SPARSITY) -> Stains:
    """The two stains of a tile: sparse non-negative factors of its optical densities.

    Raises:
        DataError: hardly any tissue is on it.
    """
    densities = density(tile)
    tissue = densities[densities.mean(axis=1) > TISSUE]
    if len(tissue) < FEWEST:
        raise DataError(f"expected a tile with tissue, found {len(tissue)} pixels that are not glass")
    tissue = tissue[:: max(1, len(tissue) // PIXELS)]
    colours = START / np.linalg.norm(START, axis=0)
    last = np.inf
    for _ in range(ROUNDS):
        found = amounts(tissue, colours, sparsity)
        now = objective(tissue, colours, found, sparsity)
        if last - now < ENOUGH * now:
            break
        last = now
        colours = _improved(tissue, colours, found)
    colours = colours[:, np.argsort(-colours[0])]
    strengths = np.percentile(amounts(tissue, colours, 0.0), STRONG, axis=0)
    return Stains(colours, np.maximum(strengths, 1e-6))


def _improved(densities: Floats, colours: Floats, found: Floats) -> Floats:
    """Each colour in turn as it fits best, not negative and of length 1; one that is nowhere stays as it is."""
    new = colours.copy()
    for stain in range(2):
        other = 1 - stain
        rest = densities - np.outer(found[:, other], new[:, other])
        direction = np.maximum(rest.T @ found[:, stain], 0.0)
        length = float(np.linalg.norm(direction))
        if length > 0:
            new[:, stain] = direction / length
    return new


def normalised(tile: Tile, reference: Stains, sparsity: float = SPARSITY) -> Tile:
    """The tile with the reference's colours, and its own amounts brought to the reference's strengths.

    Sparsity is for learning the colours; the amounts are then those that fit best, or every tile would become lighter.

    Raises:
        DataError: hardly any tissue is on it.
    """
    own = stains_of(tile, sparsity)
    found = amounts(density(tile), own.colours, 0.0) * (reference.strengths / own.strengths)
    pixels = 256.0 * np.exp(-(found @ reference.colours.T)) - 1.0
    return np.asarray(np.clip(np.rint(pixels), 0, 255), dtype=np.uint8).reshape(tile.shape)
