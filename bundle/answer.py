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


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Probabilities along the last axis, computed in float64."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def probabilities(outputs: Mapping[str, Array], calibration: Calibration) -> dict[str, Array]:
    """Graph outputs by name to probabilities by name, each `(batch, classes)`."""
    temperatures = {SHARE + name: value for name, value in calibration.shares.items()}
    temperatures[LOGITS] = calibration.fused
    return {name: softmax(values, temperatures.get(name, 1.0)) for name, values in outputs.items()}


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
    fused = probabilities(outputs, calibration)
    shares = {name.removeprefix(SHARE): fused.pop(name) for name in list(fused) if name.startswith(SHARE)}
    found = []
    for row, probability in enumerate(fused[LOGITS]):
        order = np.argsort(-probability, kind="stable")
        best = order[0]
        found.append(
            Prediction(
                model=model,
                predictions=tuple(ClassProbability(labels[index], float(probability[index])) for index in order),
                modalities={
                    name: ModalityAnswer(labels[int(share[row].argmax())], float(share[row, best]))
                    for name, share in shares.items()
                },
            )
        )
    return found
