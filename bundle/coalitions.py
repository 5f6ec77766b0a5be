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
MOST = 8
"""Modalities of a bundle: 256 coalitions, each of which a graph must answer."""


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


def shapley(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coalitions' values `(batch, 2^M)` to Shapley values `(batch, M)`, which sum to the last value minus the first.

    φ_i = Σ over S without i of |S|! (M - |S| - 1)! / M! (v(S and i) - v(S)): Shapley (1953). A modality that changes
    nothing gets exactly 0: so do those that a sample lacks, where coalition k is worth what its present ones are.
    """
    without, joined, weights = _arrivals(values.shape[1].bit_length() - 1)
    found: NDArray[np.float64] = ((values[:, joined] - values[:, without]) * weights).sum(axis=2)
    return found


@cache
def _arrivals(modalities: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """For each modality, `(M, 2^(M-1))`: the coalitions without it, the same with it, and how much that step counts."""
    every = np.arange(1 << modalities)
    bits = 1 << np.arange(modalities)
    without = np.stack([every[(every & bit) == 0] for bit in bits])
    orders = factorial(modalities)
    by_size = np.array([factorial(size) * factorial(modalities - size - 1) / orders for size in range(modalities)])
    return without, without | bits[:, None], by_size[np.bitwise_count(without)]
