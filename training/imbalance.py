"""Class weights: what makes rare classes count as much as frequent ones."""

from typing import Literal

import numpy as np

from training.errors import DataError
from training.pairs import Pairs


def class_weights(kind: Literal["none", "balanced"], pairs: Pairs) -> tuple[float, ...] | None:
    """How much a training sample of each class counts in the loss; None where all count alike.

    "balanced" is n / (classes * n_c) for a class with n_c of the n training samples, scikit-learn's rule: the weights
    of the training samples sum to n, and those of every class to n / classes.

    Raises:
        DataError: a class without a training sample, which no weight can make count.
    """
    if kind == "none":
        return None
    counts = np.bincount(pairs.targets[pairs.indices("train")], minlength=len(pairs.labels))
    absent = [label for label, count in zip(pairs.labels, counts.tolist(), strict=True) if not count]
    if absent:
        raise DataError("balanced class weights need a training sample of every class, there is none of", absent)
    return tuple((counts.sum() / (len(counts) * counts)).tolist())
