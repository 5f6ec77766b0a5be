"""What each modality adds on each class: accuracy of all modalities minus that of all without it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binomtest

from training.comparison.significance import Difference, holm
from training.measures.intervals import accuracy_difference
from training.measures.resampling import members

LEAST = 30
"""Samples of a class, for anything to be said of it."""
NOTHING = 0.03
"""A gain that is surely below this is none."""
LEVEL = 0.05
"""Of Holm's p."""
Effect = Literal["adds", "harms", "nothing", "unused", "noise"]


@dataclass(frozen=True)
class ClassGain:
    """One modality and one class."""

    modality: str
    label: str
    samples: int
    gain: Difference
    p: float
    """Of the exact two-sided sign test, after Holm's correction for all modalities and classes."""
    effect: Effect
    """adds or harms: by the interval and by p. nothing: surely less than `NOTHING`. unused: no answer is right or
    wrong because of it. noise: the samples do not tell."""


@dataclass(frozen=True)
class Turned:
    """Groups of samples (or samples) in which one of two has more right answers than the other."""

    gained: int
    lost: int
    of: int


def turned(right: NDArray[np.bool_], other: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> Turned:
    """Where `right` has more right answers than `other`, and where fewer."""
    of = members(len(right), groups)
    nets = np.bincount(of, weights=right.astype(np.float64) - other)
    return Turned(int((nets > 0).sum()), int((nets < 0).sum()), len(nets))


def without(modality: str, modalities: Sequence[str]) -> str:
    """The name of the coalition of all modalities but one."""
    return "+".join(name for name in modalities if name != modality)


def class_gains(
    labels: NDArray[np.int64],
    predictions: Mapping[str, NDArray[np.int64]],
    modalities: Sequence[str],
    classes: Sequence[str],
    groups: NDArray[np.int64] | None = None,
) -> tuple[ClassGain, ...]:
    """The gains of every modality on every class with `LEAST` samples, modality by modality.

    Args:
        labels: `(samples,)` true classes.
        predictions: by coalition, `(samples,)` predicted classes: of all modalities, and of all without each.
        modalities: in the order of the coalitions' names.
        classes: names, by label.
        groups: `(samples,)` samples of one group are resampled together.
    """
    right = {name: predicted == labels for name, predicted in predictions.items()}
    counts = np.bincount(labels, minlength=len(classes))
    found: list[ClassGain] = []
    bounds: list[float] = []
    for modality in modalities:
        for label in np.flatnonzero(counts >= LEAST).tolist():
            own = labels == label
            both = (right["+".join(modalities)][own], right[without(modality, modalities)][own])
            within = None if groups is None else groups[own]
            gain, turns = accuracy_difference(*both, within), turned(*both, within)
            differ = turns.gained + turns.lost
            p = float(binomtest(turns.gained, differ).pvalue) if differ else 1.0
            bounds.append(max(gain.high, _most(turns)))
            found.append(ClassGain(modality, classes[label], int(counts[label]), gain, p, "noise"))
            if np.array_equal(*both):
                found[-1] = replace(found[-1], effect="unused")
    adjusted = holm([each.p for each in found])
    return tuple(
        replace(each, p=p, effect=_effect(each, p, bound))
        for each, p, bound in zip(found, adjusted, bounds, strict=True)
    )


def _most(turns: Turned) -> float:
    """Upper end of the gain's 95 % interval where the few answers that turn tell a bootstrap too little."""
    if turns.gained == turns.of:
        return 1.0
    return float(beta.ppf(0.975, turns.gained + 1, turns.of - turns.gained)) - turns.lost / turns.of


def _effect(each: ClassGain, p: float, bound: float) -> Effect:
    if p < LEVEL and each.gain.verdict != "noise":
        return "adds" if each.gain.mean > 0 else "harms"
    if each.effect == "noise" and each.gain.low <= 0 and bound < NOTHING:
        return "nothing"
    return each.effect
