"""The micro-averaged area under the ROC curve, which published figures of graded tumours are given in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from training.evaluate import Scores


def micro_auc(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """Every class of every sample is one decision, "is it that class?"; 0..1, 0.5 by chance (§5 of PathomicFusion).

    Args:
        probabilities: `(samples, classes)`.
        labels: `(samples,)`.
    """
    right = labels[:, None] == np.arange(probabilities.shape[1])
    return float(roc_auc_score(right.ravel(), probabilities.ravel()))


def micro_auc_of(scores: Scores) -> float:
    """Of one split, by the fused probabilities; what is no number (a diverged training) counts as 0."""
    return micro_auc(np.nan_to_num(softmax(scores.logits.astype(np.float64), axis=1)), scores.labels)
