"""Making a split where the data has none: stratified by class, groups kept whole, seeded."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from training.errors import DataError


def assign(
    targets: NDArray[np.int64], groups: NDArray[np.int64], fractions: dict[str, float], rest: str, seed: int
) -> NDArray[np.str_]:
    """Name a split for each sample.

    Args:
        targets: `(samples,)` class indices.
        groups: `(samples,)`; samples of one group get the same split.
        fractions: share of the samples for each split to be cut off, in this order.
        rest: the split of everything else.
        seed: same seed, same split.

    Raises:
        DataError: too few groups of some class to give each split one.
    """
    splits = np.full(len(targets), rest, dtype=object)
    left = np.arange(len(targets))
    taken = 0.0
    for name, fraction in fractions.items():
        folds = max(2, round((1.0 - taken) / fraction))
        _need_groups(targets[left], groups[left], len(fractions) + 1)
        folder = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        try:
            keep, cut = next(folder.split(left, targets[left], groups[left]))
        except ValueError as error:
            raise DataError(f"no split into {folds} parts is possible: {error}") from None
        splits[left[cut]] = name
        left = left[keep]
        taken += fraction
    return splits.astype(str)


def _need_groups(targets: NDArray[np.int64], groups: NDArray[np.int64], least: int) -> None:
    for target in np.unique(targets):
        found = len(np.unique(groups[targets == target]))
        if found < least:
            raise DataError(f"a split needs {least} groups of every class, class number {target} has {found}")
