"""How accurate, how confident and how wary a classifier is on samples that were made worse."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.answer import softmax
from bundle.caution import divisors
from training.measures.intervals import Interval, accuracy_interval
from training.measures.selective import risk_coverage


@dataclass(frozen=True)
class Standard:
    """What validation taught, by which corrupted samples are judged."""

    temperature: float
    """Of the fused logits."""
    thresholds: Mapping[str, float]
    """By modality, the distance from the training data beyond which features are unusual; of those that have one."""


@dataclass(frozen=True)
class Outputs:
    """What a classifier gives for some samples."""

    logits: NDArray[np.float32]
    """`(samples, classes)`."""
    shares: Mapping[str, NDArray[np.float32]]
    """By modality, `(samples, classes)`."""
    shifts: Mapping[str, NDArray[np.float32]]
    """By modality, `(samples,)`."""


@dataclass(frozen=True)
class Standing:
    """Of one corruption at one severity; 0..1 all."""

    accuracy: Interval
    confidence: float
    """Mean calibrated probability of the predicted class."""
    unusual: float | None
    """Share of samples of which some modality is unusual; None where there is no threshold."""
    disagreement: float
    """Share of samples of which modalities would choose different classes alone."""
    area: float
    """Under the risk-coverage curve (AURC)."""


@dataclass(frozen=True)
class Curve:
    """One corruption."""

    modality: str
    corruption: str
    meaning: str
    """What a level is, in words."""
    levels: tuple[float, ...]
    standings: tuple[Standing, ...]
    """Severity 0, as it is, and then one for each level."""

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.modality}: {self.corruption}"


def standing(
    outputs: Outputs, labels: NDArray[np.int64], standard: Standard, groups: NDArray[np.int64] | None = None
) -> Standing:
    """Measure outputs against labels `(samples,)`; samples of one group are resampled together."""
    right = outputs.logits.argmax(axis=1) == labels
    together, _ = divisors(outputs.shifts, tuple(outputs.shifts), standard.thresholds)
    confidences = softmax(outputs.logits, standard.temperature * together[:, -1:]).max(axis=1)
    flags = [outputs.shifts[name] > threshold for name, threshold in standard.thresholds.items()]
    own = np.stack([share.argmax(axis=1) for share in outputs.shares.values()])
    return Standing(
        accuracy=accuracy_interval(right, groups),
        confidence=float(confidences.mean()),
        unusual=float(np.any(flags, axis=0).mean()) if flags else None,
        disagreement=float((own != own[0]).any(axis=0).mean()),
        area=risk_coverage(confidences, right).area,
    )
