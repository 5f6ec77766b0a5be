"""The verdict on a finished training, in plain words, from its scores on test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bundle import coalitions
from bundle.checking import one_line
from training.evaluate import Scores
from training.measures.outputs import FEWEST_GROUPS, independent_groups
from training.measures.verdict import Verdict, verdict


def judge(scores: Mapping[str, Scores], labels: Sequence[str], modalities: tuple[str, ...]) -> Verdict:
    """Hold the classifier with all modalities against itself with some, on the test split.

    A modality by itself is here the classifier without the others, whose place their stand-ins take: what a request
    with that modality alone would get. The best one is chosen on validation.

    Args:
        scores: by split, `val` and `test`.
        labels: class names.
        modalities: in the run's order.
    """
    validation, test = scores["val"], scores["test"]
    chosen = predictions(validation, modalities)
    best = max(modalities, key=lambda name: float((chosen[name] == validation.labels).mean()))
    groups, names = independent_groups(test), [one_line(label) for label in labels]
    found = verdict(test.labels, predictions(test, modalities), names, groups, best)
    note = dependence(test)
    return replace(found, sentences=(*found.sentences, note)) if note else found


def dependence(scores: Scores) -> str:
    """What is amiss with intervals where groups are too few to resample, as a sentence; else empty."""
    if scores.groups is None or independent_groups(scores) is not None:
        return ""
    count = len(np.unique(scores.groups))
    if count == len(scores.groups):
        return ""
    many = f"{count} groups" if count > 1 else "one group"
    return (
        f"The {len(scores.groups):,} samples are of {many}, too few to resample (at least {FEWEST_GROUPS}): "
        "intervals take samples for independent and are too narrow."
    )


def predictions(scores: Scores, modalities: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    """By coalition with at least one modality, `(samples,)` predicted classes."""
    found = enumerate(coalitions.names(modalities))
    return {name: scores.coalitions[:, number].argmax(axis=1) for number, name in found if name}
