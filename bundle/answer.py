"""From the graph's outputs to an answer: calibrated probabilities and each modality's own confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.errors import InvalidInput
from bundle.manifest import Calibration
from bundle.modalities import Array

SHARE = "share_"
"""Prefix of the graph's share outputs: `share_audio` for the input `audio`."""
LOGITS = "logits"


@dataclass(frozen=True)
class ClassProbability:
    """One class and how probable it is."""

    label: str
    probability: float


@dataclass(frozen=True)
class ModalityAnswer:
    """What one modality says by itself, from its share of the logits."""

    label: str
    """The class it would choose alone."""
    confidence: float
    """The probability it alone gives to the *predicted* class of the fused classifier."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one sample."""

    model: str
    predictions: tuple[ClassProbability, ...]
    """Every class, most probable first."""
    modalities: dict[str, ModalityAnswer]


def softmax(logits: Array, temperature: float | Array = 1.0) -> Array:
    """Probabilities along the last axis, computed in float64."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=-1, keepdims=True)
    return scaled


def probabilities(outputs: Mapping[str, Array], calibration: Calibration) -> dict[str, Array]:
    """Graph outputs by name to probabilities by name, each `(batch, classes)`."""
    together = np.stack(list(outputs.values()))  # a few small arrays: one softmax costs as much as each of theirs
    return dict(zip(outputs, softmax(together, _temperatures(tuple(outputs), calibration)), strict=True))


def _temperatures(names: Sequence[str], calibration: Calibration) -> Array:
    """What divides each output, `(outputs, 1, 1)`."""
    known = {SHARE + name: value for name, value in calibration.shares.items()} | {LOGITS: calibration.fused}
    return np.array([known.get(name, 1.0) for name in names])[:, None, None]


def answers(
    model: str, labels: Sequence[str], outputs: Mapping[str, Array], calibration: Calibration
) -> list[Prediction]:
    """One `Prediction` for each row of the outputs.

    Raises:
        InvalidInput: the graph gave NaN or infinity; a bundle that passed its self-check does so only for inputs far
            from everything it was trained on.
    """
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise InvalidInput("a sample like those of the training", "one for which the classifier gives no finite number")
    found = probabilities(outputs, calibration)
    fused = found.pop(LOGITS)
    shares = {name.removeprefix(SHARE): (share, share.argmax(axis=1)) for name, share in found.items()}
    order = np.argsort(-fused, axis=1, kind="stable")
    return [
        Prediction(
            model=model,
            predictions=tuple(
                map(ClassProbability, [labels[index] for index in indices.tolist()], values[indices].tolist())
            ),
            modalities={
                name: ModalityAnswer(labels[alone[row]], float(share[row, indices[0]]))
                for name, (share, alone) in shares.items()
            },
        )
        for row, (indices, values) in enumerate(zip(order, fused, strict=True))
    ]
