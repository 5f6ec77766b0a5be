"""The accuracy to expect where modalities are missing, and how unlike the training data an input must be to say so."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bundle import coalitions
from bundle.caution import divisors
from training.errors import TooFewSamples
from training.evaluate import Scores
from training.measures.intervals import Interval, accuracy_interval
from training.measures.outputs import independent_groups

QUANTILE = 0.99
"""Share of validation samples that are not called unusual, where nothing else is asked for."""


def coalition_accuracies(scores: Scores, modalities: tuple[str, ...]) -> dict[str, Interval]:
    """Accuracy with some modalities only, by coalition in the order of `bundle.coalitions`, with 95 % intervals."""
    groups = independent_groups(scores)
    return {
        name: accuracy_interval(scores.coalitions[:, number].argmax(axis=1) == scores.labels, groups)
        for number, name in enumerate(coalitions.names(modalities))
    }


def shift_thresholds(
    validation: Scores, modalities: tuple[str, ...], quantile: float = QUANTILE
) -> tuple[dict[str, float], dict[str, str]]:
    """By modality, the distance beyond which features are unusual, and why some have none."""
    found, refused = {}, {}
    for name in modalities:
        try:
            found[name] = shift_threshold(validation.shifts[name], quantile)
        except TooFewSamples as error:
            refused[name] = str(error)
    return found, refused


def cautious(scores: Scores, modalities: tuple[str, ...], thresholds: Mapping[str, float]) -> Scores:
    """The scores whose softmax is what a service answers: smaller logits far from the training data.

    See `bundle.caution`. No predicted class is changed.
    """
    if not scores.shifts:
        return scores
    together, alone = divisors(scores.shifts, modalities, thresholds)
    shares = {name: (share / alone[name][:, None]).astype(share.dtype) for name, share in scores.shares.items()}
    kind = scores.logits.dtype
    return replace(
        scores,
        logits=(scores.logits / together[:, -1:]).astype(kind),
        coalitions=(scores.coalitions / together[:, :, None]).astype(kind),
        shares=shares,
    )


def shift_threshold(distances: NDArray[np.floating], quantile: float) -> float:
    """The distance from the training data that at most a share 1 - `quantile` of samples like these exceed.

    It is the k-th smallest of n distances with k = ⌈(n + 1) · quantile⌉: another sample from where these come from
    exceeds it with a probability of at most 1 - quantile, whatever the distances' distribution (the split-conformal
    quantile; Papadopoulos et al. 2002).

    Args:
        distances: `(samples,)`, of samples that the model was not trained on.
        quantile: above 0, below 1.

    Raises:
        TooFewSamples: so few that k is more than n; or a threshold of 0, that is no distance.
    """
    assert 0 < quantile < 1
    count = len(distances)
    place = math.ceil((count + 1) * quantile - 1e-9)
    if place > count:
        least = math.ceil(quantile / (1 - quantile) - 1e-9)
        raise TooFewSamples(
            f"expected at least {least} samples for the {quantile:g} quantile of their distances, got {count}"
        )
    found = float(np.sort(distances)[place - 1])
    if not 0 < found < math.inf:
        raise TooFewSamples(f"expected distances of which the {quantile:g} quantile is over 0, it is {found:g}")
    return found
