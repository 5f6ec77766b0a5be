"""Which modality carries which class: Shapley values of calibrated probabilities over a whole split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.answer import COALITIONS, LOGITS, SHARE, everything, probabilities
from bundle.coalitions import shapley
from bundle.manifest import Calibration
from training.evaluate import Scores
from training.measures.intervals import Interval, mean_interval
from training.measures.outputs import independent_groups, resampled
from training.measures.rank import rank_correlation


@dataclass(frozen=True)
class Contributions:
    """Of every sample of a split, for one class each."""

    values: NDArray[np.float64]
    """`(samples, M)` Shapley values, -1..1; a row sums to `probability` minus `baseline`."""
    baseline: NDArray[np.float64]
    """`(samples,)` the class's probability without any modality."""
    probability: NDArray[np.float64]
    """`(samples,)` the class's probability with all modalities."""


@dataclass(frozen=True)
class ClassContribution:
    """What carries the probability of one class, over the samples that are of it."""

    label: int
    samples: int
    probability: Interval
    """Mean probability of the class."""
    baseline: float
    """The same without any modality."""
    modalities: dict[str, Interval]
    """Mean Shapley value of each; they sum to `probability` minus `baseline`."""


@dataclass(frozen=True)
class Deletion:
    """Whether a higher contribution means that more is lost without it: rank correlations (Spearman)."""

    pooled: Interval
    """Over all pairs of a sample and a modality."""
    modalities: dict[str, Interval]
    """Over the samples, for each modality."""


def contributions(
    scores: Scores, modalities: tuple[str, ...], calibration: Calibration, classes: NDArray[np.int64]
) -> Contributions:
    """As `bundle.answer` computes them where every modality is there.

    Args:
        scores: of a split.
        modalities: in the run's order.
        calibration: the temperatures; `Calibration()` for none.
        classes: `(samples,)` the class of each sample whose probability is shared out.
    """
    count = len(scores.labels)
    given = {LOGITS: scores.logits, COALITIONS: scores.coalitions}
    given |= {SHARE + name: scores.shares[name] for name in modalities}
    found = probabilities(given, everything(count, len(modalities)), calibration, modalities)[COALITIONS]
    values = found[np.arange(count), :, classes]
    return Contributions(shapley(values), values[:, 0], values[:, -1])


def class_contributions(
    scores: Scores, modalities: tuple[str, ...], calibration: Calibration
) -> tuple[ClassContribution, ...]:
    """For each class that occurs, what carries the probability of that class over the samples that are of it.

    It is the right class that is shared out, whatever was predicted: a modality that misleads gets less than 0.
    """
    found = contributions(scores, modalities, calibration, scores.labels)
    groups = independent_groups(scores)
    rows = []
    for label in np.unique(scores.labels).tolist():
        own = scores.labels == label
        of = resampled(None if groups is None else groups[own])
        each = {name: mean_interval(found.values[own, at], of) for at, name in enumerate(modalities)}
        probability = mean_interval(found.probability[own], of)
        rows.append(ClassContribution(label, int(own.sum()), probability, float(found.baseline[own].mean()), each))
    return tuple(rows)


def deletion(scores: Scores, modalities: tuple[str, ...], calibration: Calibration) -> Deletion:
    """Contributions to the predicted class, against what its probability loses where a modality is another sample's.

    The scores must hold `deletions`.
    """
    found = contributions(scores, modalities, calibration, scores.logits.argmax(axis=1)).values
    drops = np.stack([scores.deletions[name] for name in modalities], axis=1).astype(np.float64)
    groups = independent_groups(scores)
    of = np.arange(len(found)) if groups is None else groups
    return Deletion(
        rank_correlation(found.ravel(), drops.ravel(), np.repeat(of, len(modalities))),
        {name: rank_correlation(found[:, at], drops[:, at], groups) for at, name in enumerate(modalities)},
    )
