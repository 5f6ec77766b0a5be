"""The one number that divides logits so that confidences mean what they say (Guo et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

LEAST = 50
"""Samples."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature T with the least negative log-likelihood of softmax(logits / T).

    Args:
        logits: `(samples, classes)`, of samples that the model was not trained on.
        labels: `(samples,)` true classes.

    Raises:
        TooFewSamples: fewer than `LEAST`, fewer than two classes among the labels, or not one wrong answer.
        DataError: a logit is not finite.
    """
    raise NotImplementedError
