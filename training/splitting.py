"""Making a split where the data has none: stratified by class, groups kept whole, by a seed or by names."""

import hashlib
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from training.errors import DataError


def assign(
    classes: NDArray[np.str_], groups: NDArray[np.int64], fractions: dict[str, float], rest: str, seed: int
) -> NDArray[np.str_]:
    """Name a split for each sample.

    Args:
        classes: `(samples,)` class names.
        groups: `(samples,)`; samples of one group get the same split.
        fractions: share of the samples for each split to be cut off, in this order.
        rest: the split of everything else.
        seed: same seed, same split.

    Raises:
        DataError: too few samples or groups of some class to give each split one; names every such class.
    """
    _check_counts(classes, groups, len(fractions) + 1)
    splits = np.full(len(classes), rest, dtype=object)
    left = np.arange(len(classes))
    taken = 0.0
    for name, fraction in fractions.items():
        largest = int(np.unique(classes[left], return_counts=True)[1].max())
        folds = min(max(2, round((1.0 - taken) / fraction)), largest)
        folder = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of rare classes, which are then not in every split
            keep, cut = next(folder.split(left, classes[left], groups[left]))
        splits[left[cut]] = name
        left = left[keep]
        taken += fraction
    return splits.astype(str)


def held_out(groups: Sequence[str], classes: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose whole groups by their names: `(samples,)`, true in about `fraction` of each class's groups.

    The groups of a class are put in the order of the SHA-256 of their names and the first are taken, at least one. So
    the choice depends on no seed, library or order, and hardly on which samples are there. A group's class is that of
    its first sample.
    """
    own: dict[str, str] = {}
    for group, name in zip(groups, classes, strict=True):
        own.setdefault(group, name)
    members: dict[str, list[str]] = {}
    for group, name in own.items():
        members.setdefault(name, []).append(group)
    taken: set[str] = set()
    for found in members.values():
        found.sort(key=lambda group: hashlib.sha256(group.encode()).digest())
        taken.update(found[: max(1, round(fraction * len(found)))])
    return np.asarray([group in taken for group in groups])


def _check_counts(classes: NDArray[np.str_], groups: NDArray[np.int64], parts: int) -> None:
    bad = []
    for name in np.unique(classes):
        own = groups[classes == name]
        if len(np.unique(own)) < parts or len(own) < parts + 1:
            bad.append(f"{name}: {len(own)} samples in {len(np.unique(own))} groups")
    if bad:
        raise DataError(
            f"a split into {parts} parts needs {parts} groups and {parts + 1} samples of every class, too few are "
            "there for",
            bad,
        )
