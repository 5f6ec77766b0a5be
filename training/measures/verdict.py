"""What a training came to, in plain words: is fusing worth it, who is ahead, who adds nothing where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.comparison.significance import Difference
from training.measures.intervals import Interval

LEAST = 30
"""Samples of a class, for anything to be said of it."""


@dataclass(frozen=True)
class ClassGain:
    """What one modality adds on one class: accuracy of all modalities minus that of all without it."""

    modality: str
    label: str
    samples: int
    gain: Difference
    effect: Literal["adds", "nothing", "harms", "noise"]
    """adds or harms: surely, also allowing for how many such gains were looked at; nothing: at most `NOTHING` more;
    noise: the samples do not tell."""


@dataclass(frozen=True)
class Verdict:
    """Sentences, and the figures they are made of."""

    sentences: tuple[str, ...]
    fused: Interval
    """Accuracy of all modalities together, 0..1."""
    alone: dict[str, Interval]
    """Accuracy of each modality by itself, 0..1, best first."""
    best: str
    """The single modality that the fused model is held against."""
    gain: Difference
    """Fused minus best."""
    classes: tuple[ClassGain, ...]
    """For each modality and each class with enough samples."""


def verdict(
    labels: NDArray[np.int64],
    predictions: Mapping[str, NDArray[np.int64]],
    classes: Sequence[str],
    groups: NDArray[np.int64] | None = None,
    best: str | None = None,
) -> Verdict:
    """Judge a classifier of two or more modalities by its predictions with all, some and one of them.

    Args:
        labels: `(samples,)` true classes.
        predictions: by coalition ("audio+video", "audio", "video"; names joined by "+"), `(samples,)` predicted
            classes; needed are all modalities together, each alone, and all without each.
        classes: names, by label.
        groups: `(samples,)` samples of one group are resampled together.
        best: the single modality to hold the fused model against, chosen on other samples than these; not given, it is
            the best on these, which favours the single modality a little.
    """
    raise NotImplementedError
