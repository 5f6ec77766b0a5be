"""Coalitions of modalities: their order, their names, and exact Shapley values over them.

For M modalities, in the manifest's order, coalition k of 0 .. 2^M - 1 has modality i exactly where bit i of k is set: 0
is no modality at all, 2^M - 1 all of them.
"""

from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

JOIN = "+"
"""Between the modalities in a coalition's name: `audio+video`; the empty coalition's name is empty."""


@cache
def names(modalities: tuple[str, ...]) -> tuple[str, ...]:
    """The name of every coalition, in order."""
    rows: list[list[bool]] = membership(len(modalities)).tolist()
    return tuple(JOIN.join(name for name, there in zip(modalities, row, strict=True) if there) for row in rows)


@cache
def membership(modalities: int) -> NDArray[np.bool_]:
    """`(2^M, M)`: which of M modalities are in each coalition."""
    found: NDArray[np.bool_] = (np.arange(1 << modalities)[:, None] >> np.arange(modalities)) % 2 == 1
    return found


def index(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`(batch, M)` of what is there to `(batch,)` numbers of the coalitions."""
    return present.astype(np.int64) @ (1 << np.arange(present.shape[1], dtype=np.int64))


@cache
def weights(modalities: int) -> NDArray[np.float64]:
    """`(M, 2^M)`: the Shapley value of each modality is this matrix times the coalitions' values.

    φ_i = Σ over S without i of |S|! (M - |S| - 1)! / M! (v(S and i) - v(S)): Shapley (1953).
    """
    found = np.zeros((modalities, 1 << modalities))
    for player in range(modalities):
        for coalition in range(1 << modalities):
            if not coalition >> player & 1:
                size = coalition.bit_count()
                weight = factorial(size) * factorial(modalities - size - 1) / factorial(modalities)
                found[player, coalition | 1 << player] += weight
                found[player, coalition] -= weight
    return found


def shapley(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coalitions' values `(batch, 2^M)` to Shapley values `(batch, M)`, which sum to the last value minus the first.

    Where coalition k is worth what those of its modalities are that a sample has, the others get exactly 0.
    """
    count = values.shape[1].bit_length() - 1
    found: NDArray[np.float64] = values @ weights(count).T
    return found
