"""The one number that divides logits so that confidences mean what they say (Guo et al. 2017)."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import softmax

from training.errors import DataError, TooFewSamples

LEAST = 50
"""Samples."""
LOWEST, HIGHEST = 0.01, 100.0
"""Temperatures."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature T with the least negative log-likelihood (NLL) of softmax(logits / T), from 0.01 to 100.

    The NLL is convex in 1/T. Its derivative there, the mean of Σ_k p_k z_k - z_label, rises with 1/T, so the least NLL
    is where it changes its sign, and that is found to the last digits. A model that knows less than nothing (the true
    class has logits below the mean) gets the highest temperature.

    Why not from fewer samples: the Fisher information of log T is the variance of z / T under p, summed over samples.
    It is about 0.3 a sample where two classes compete at 0.8 and 0.2, so 50 samples give log T a standard error of
    1/√15 = 0.26, which moves that 0.8 by 0.06. That is as much as the miscalibration that temperatures usually cure;
    with fewer samples the cure is worse. One class says nothing of the others' probabilities. And where every answer
    is right, no temperature is low enough: the NLL falls for ever.

    Args:
        logits: `(samples, classes)`, of samples that the model was not trained on.
        labels: `(samples,)` true classes.

    Raises:
        TooFewSamples: fewer than `LEAST`, fewer than two classes among the labels, or not one wrong answer.
        DataError: a logit is not finite.
    """
    assert logits.shape[:1] == labels.shape, "a label for each sample"
    if len(labels) < LEAST:
        raise TooFewSamples(f"expected at least {LEAST} samples to fit a temperature, got {len(labels)}")
    if len(np.unique(labels)) < 2:
        raise TooFewSamples(f"expected samples of two classes or more to fit a temperature, all are of {labels[0]}")
    if not np.isfinite(logits).all():
        raise DataError("expected finite logits to fit a temperature, found NaN or infinity")
    scores = logits.astype(np.float64)
    true = scores[np.arange(len(labels)), labels]
    if (true == scores.max(axis=1)).all():
        raise TooFewSamples(
            f"expected at least one wrong answer to fit a temperature, all {len(labels)} are right: nothing bounds it"
        )

    def slope(logarithm: float) -> float:
        """Derivative of the NLL by 1/T, at log T."""
        probabilities = softmax(scores * math.exp(-logarithm), axis=1)
        return float(np.mean((probabilities * scores).sum(axis=1) - true))

    lowest, highest = math.log(LOWEST), math.log(HIGHEST)
    if slope(highest) >= 0:
        return HIGHEST
    if slope(lowest) <= 0:
        return LOWEST
    return math.exp(brentq(slope, lowest, highest, xtol=1e-12))
