"""What a run's outputs say of each class: confidences by modality, and which classes are taken for which."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.answer import softmax
from training.evaluate import Scores

FUSED = "fused"
"""Stands beside the modalities' names for the whole classifier."""


@dataclass(frozen=True)
class Confidence:
    """Mean probability of the true class, by class."""

    counts: NDArray[np.int64]
    """`(classes,)` samples."""
    means: dict[str, NDArray[np.float64]]
    """By modality and `FUSED`, `(classes,)` in 0..1; NaN for a class without samples."""

    def spread(self) -> NDArray[np.float64]:
        """`(classes,)` how far apart the modalities are; NaN for a class without samples."""
        own = np.stack([means for name, means in self.means.items() if name != FUSED])
        found: NDArray[np.float64] = own.max(axis=0) - own.min(axis=0)
        return found

    def most_different(self, most: int) -> list[int]:
        """Classes with samples, in their order; of more than `most`, those of the largest spread, largest first."""
        present = np.flatnonzero(self.counts)
        if len(present) > most:
            present = present[np.argsort(-self.spread()[present], kind="stable")[:most]]
        return [int(label) for label in present]


@dataclass(frozen=True)
class Mistake:
    """Samples of one class that are taken for another."""

    true: int
    taken_for: int
    samples: int
    of: int
    """Samples of the true class."""


def confidence(scores: Scores) -> Confidence:
    """By class, the mean probability that each modality's own share, and the fused logits, give to the true class."""
    classes = scores.logits.shape[1]
    counts = np.bincount(scores.labels, minlength=classes)
    means = {}
    for name, logits in {**scores.shares, FUSED: scores.logits}.items():
        true = softmax(logits)[np.arange(len(scores.labels)), scores.labels]
        totals = np.bincount(scores.labels, weights=true, minlength=classes)
        means[name] = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
    return Confidence(counts, means)


def confusion(scores: Scores) -> NDArray[np.int64]:
    """`(classes, classes)`: how many samples of each class (row) the fused classifier takes for each (column)."""
    found = np.zeros((scores.logits.shape[1],) * 2, dtype=np.int64)
    np.add.at(found, (scores.labels, scores.logits.argmax(axis=1)), 1)
    return found


def mistakes(matrix: NDArray[np.int64], most: int) -> list[Mistake]:
    """The most frequent confusions of two classes, by the number of samples."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = zip(*np.unravel_index(order, wrong.shape), strict=True)
    found = [Mistake(int(t), int(p), int(wrong[t, p]), int(matrix[t].sum())) for t, p in places]
    return [mistake for mistake in found if mistake.samples]
