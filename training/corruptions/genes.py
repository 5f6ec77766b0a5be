"""Corruptions of values by name, `(columns,)` float32 with NaN where one is missing: noise, and values lost.

The levels are ours, in units of each column's standard deviation on the training split.
"""

import numpy as np

from bundle.modalities import Array
from bundle.modalities.genomics import Genomics
from training.corruptions.corruption import Corruption, Subject


def noise(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Gaussian noise, in standard deviations of each column."""
    assert isinstance(subject.modality, Genomics)
    drawn = generator.standard_normal(len(subject.array)) * np.asarray(subject.modality.stds)
    return np.asarray(subject.array + level * drawn, np.float32)


def loss(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Without a share of the values; of those that are there, one always stays."""
    luck = generator.random(len(subject.array))
    there = np.flatnonzero(~np.isnan(subject.array))
    gone = luck < level
    if len(there):
        gone[there[luck[there].argmax()]] = False
    return np.where(gone, np.float32("nan"), subject.array)


GENES = (
    Corruption("noise", (0.25, 0.5, 1.0, 1.5, 2.0), "standard deviations", noise),
    Corruption("values lost", (0.1, 0.3, 0.5, 0.7, 0.9), "share of the values", loss),
)
