"""From the graph's outputs to an answer: calibrated probabilities, and what each modality says and contributes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from bundle.caution import divisors
from bundle.coalitions import index, membership, shapley
from bundle.errors import InvalidInput
from bundle.manifest import Calibration, Manifest
from bundle.modalities import Array

DOCUMENTED = ConfigDict(use_attribute_docstrings=True)
SHARE = "share_"
"""Prefix of the graph's share outputs: `share_audio` for the input `audio`."""
SHIFT = "shift_"
"""Prefix of the graph's distances from the training data: `shift_audio` for the input `audio`."""
LOGITS = "logits"
COALITIONS = "coalitions"
"""The graph's logits of every coalition of modalities, `(batch, 2^M, classes)`, in the order of `bundle.coalitions`."""
PRESENT = "present"
"""The graph's input that says which modalities a sample has, `(batch, M)`."""


@dataclass(frozen=True)
class ClassProbability:
    """One class and how probable it is."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    label: str
    probability: float


@dataclass(frozen=True)
class ModalityAnswer:
    """What one modality says by itself, and what it adds to the others."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    label: str
    """The class it would choose alone."""
    confidence: float
    """The probability it alone gives to the *predicted* class of the fused classifier."""
    contribution: float
    """Its exact Shapley value for the probability of the predicted class: how much of it is owed to this modality,
    averaged over the orders in which modalities can arrive. Those of all sum to the probability minus `baseline`."""
    shift: float | None
    """How far its features lie from those of the training data, as a share of the distance beyond which they are called
    unusual: over 1 is unusual. None where the bundle states no such distance."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one sample."""

    model: str
    predictions: tuple[ClassProbability, ...]
    """Every class, most probable first."""
    modalities: dict[str, ModalityAnswer]
    """Of the modalities that were given."""
    missing: tuple[str, ...]
    """Modalities that were not given, and that the answer does without."""
    baseline: float
    """The probability of the predicted class where no modality is given at all."""
    disagreement: bool
    """Whether modalities would choose different classes alone."""
    unusual: tuple[str, ...]
    """Modalities that are unlike the training data: probabilities are lowered, and can be relied on less."""
    abstain: bool
    """Whether the predicted class is less probable than asked for (`abstain_below`): better ask a person."""

    def abstaining(self, below: float | None) -> "Prediction":
        """The same answer, held to another least probability of the predicted class; None leaves it as it is."""
        if below is None:
            return self
        return replace(self, abstain=self.predictions[0].probability < below)


def softmax(logits: Array, temperature: float | Array = 1.0) -> Array:
    """Probabilities along the last axis, computed in float64."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=-1, keepdims=True)
    return scaled


def probabilities(
    outputs: Mapping[str, Array], present: NDArray[np.bool_], calibration: Calibration, modalities: tuple[str, ...]
) -> dict[str, Array]:
    """The graph's logits by name to calibrated probabilities by name, of the same shapes; the distances are left out.

    Args:
        outputs: of the graph.
        present: `(batch, M)`, which modalities each sample has: the temperature is that of what was really used.
        calibration: the temperatures.
        modalities: names of the inputs, in order.
    """
    names = [LOGITS, COALITIONS, *(SHARE + name for name in modalities)]
    parts = [outputs[name] if name == COALITIONS else outputs[name][:, None] for name in names]
    found = np.split(
        softmax(np.concatenate(parts, axis=1), _temperatures(present, calibration, modalities)),
        np.cumsum([part.shape[1] for part in parts[:-1]]),
        axis=1,
    )
    return {name: part if name == COALITIONS else part[:, 0] for name, part in zip(names, found, strict=True)}


def _temperatures(present: NDArray[np.bool_], calibration: Calibration, modalities: tuple[str, ...]) -> Array:
    """What divides the logits, every coalition's and every share's, `(batch, 1 + 2^M + M, 1)`."""
    of_coalitions = np.array(calibration.of_coalitions(modalities))
    of_shares = np.array([calibration.shares.get(name, 1.0) for name in modalities])
    used = index(present)
    really = np.arange(len(of_coalitions)) & used[:, None]
    shares = np.broadcast_to(of_shares, (len(present), len(of_shares)))
    return np.concatenate([of_coalitions[used][:, None], of_coalitions[really], shares], axis=1)[:, :, None]


def answers(manifest: Manifest, outputs: Mapping[str, Array], present: NDArray[np.bool_]) -> list[Prediction]:
    """One `Prediction` for each row of the outputs.

    Args:
        manifest: of the bundle.
        outputs: of its graph.
        present: `(batch, M)`, which modalities each sample has.

    Raises:
        InvalidInput: the graph gave NaN or infinity; a bundle that passed its self-check does so only for inputs far
            from everything it was trained on.
    """
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise InvalidInput("a sample like those of the training", "one for which the classifier gives no finite number")
    modalities = manifest.modalities
    found = probabilities(cautious(outputs, manifest), present, manifest.calibration, modalities)
    fused = found[LOGITS]
    order = np.argsort(-fused, axis=1, kind="stable")
    best = order[:, 0]
    rows = np.arange(len(fused))
    values = found[COALITIONS][rows, :, best]
    shares = np.stack([found[SHARE + name] for name in modalities], axis=1)
    facts = _Facts(
        manifest,
        present.tolist(),
        shares.argmax(axis=2).tolist(),
        shares[rows, :, best].tolist(),
        shapley(values).tolist(),
        _shifts(manifest, outputs, len(fused)),
    )
    return [
        Prediction(
            manifest.name,
            tuple(map(ClassProbability, [manifest.labels[index] for index in indices], probable)),
            *facts.row(row, baseline),
            abstain=manifest.abstain_below is not None and probable[0] < manifest.abstain_below,
        )
        for row, (indices, probable, baseline) in enumerate(
            zip(order.tolist(), np.take_along_axis(fused, order, axis=1).tolist(), values[:, 0].tolist(), strict=True)
        )
    ]


def cautious(outputs: Mapping[str, Array], manifest: Manifest) -> Mapping[str, Array]:
    """The graph's outputs, with smaller logits for what lies far from the training data: see `bundle.caution`."""
    modalities = manifest.modalities
    distances = {name: outputs[SHIFT + name] for name in modalities}
    if not any((distances[name] > threshold).any() for name, threshold in manifest.shifts.items()):
        return outputs
    together, alone = divisors(distances, modalities, manifest.shifts)
    changed = {LOGITS: outputs[LOGITS] / together[:, -1:], COALITIONS: outputs[COALITIONS] / together[:, :, None]}
    return {**outputs, **changed, **{SHARE + name: outputs[SHARE + name] / alone[name][:, None] for name in modalities}}


def _shifts(manifest: Manifest, outputs: Mapping[str, Array], count: int) -> list[list[float | None]]:
    columns: list[Any] = [
        (outputs[SHIFT + name].astype(np.float64) / manifest.shifts[name]).tolist()
        if name in manifest.shifts
        else [None] * count
        for name in manifest.modalities
    ]
    return [list(row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class _Facts:
    """What is known of each sample and modality; rows of samples, columns of modalities."""

    manifest: Manifest
    present: list[list[bool]]
    labels: list[list[int]]
    confidences: list[list[float]]
    contributions: list[list[float]]
    shifts: list[list[float | None]]

    def row(
        self, row: int, baseline: float
    ) -> tuple[dict[str, ModalityAnswer], tuple[str, ...], float, bool, tuple[str, ...]]:
        """The fields of a `Prediction` from `modalities` to `unusual`."""
        names, there = self.manifest.modalities, self.present[row]
        used = [position for position, given in enumerate(there) if given]
        shifts = self.shifts[row]
        own = {
            names[at]: ModalityAnswer(
                self.manifest.labels[self.labels[row][at]],
                self.confidences[row][at],
                self.contributions[row][at],
                shifts[at],
            )
            for at in used
        }
        missing = tuple(name for name, given in zip(names, there, strict=True) if not given)
        disagreement = len({self.labels[row][at] for at in used}) > 1
        unusual = tuple(names[at] for at in used if (shifts[at] or 0.0) > 1.0)
        return own, missing, baseline, disagreement, unusual


def everything(count: int, modalities: int) -> NDArray[np.bool_]:
    """`(count, modalities)`: every sample has every modality."""
    return np.broadcast_to(membership(modalities)[-1], (count, modalities))
