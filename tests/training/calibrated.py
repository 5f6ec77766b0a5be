"""Made-up confidences, and answers that are right as often as they say, or less."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Answers = NDArray[np.bool_]


def answers(samples: int, generator: np.random.Generator, sharpness: float = 1.0) -> tuple[Floats, Answers]:
    """Confidences of 0.2 to 1; the log-odds of being right are theirs, times the sharpness."""
    confidences = 0.2 + 0.8 * generator.beta(2, 1.5, samples)
    odds = np.log(confidences / (1 - confidences))
    return confidences, generator.random(samples) < 1 / (1 + np.exp(-sharpness * odds))


def classified(samples: int, classes: int, generator: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Logits, and labels drawn from their softmax."""
    logits = generator.normal(0, 2, (samples, classes))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, np.asarray(labels, np.int64)
