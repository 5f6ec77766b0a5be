"""What a run's history says of each epoch: accuracies, estimated information, gradient norms."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bundle.checking import one_line
from training import checkpoint
from training.errors import CheckpointError
from training.evaluate import Evaluation
from training.reporting.confidence import FUSED

NONE = float("nan")
Series = dict[str, list[float]]
"""By name, a value for each epoch; NaN where an epoch has none."""


@dataclass(frozen=True)
class Epoch:
    """One entry of history.json, as far as a report needs it."""

    epoch: int
    validation: Evaluation
    information: float | None = None
    """The estimate E[g] of the modalities' mutual information, in nats."""
    information_bound: float | None = None
    """A lower bound on it."""
    gradient_norms: dict[str, dict[str, float]] = field(default_factory=dict)
    """By term of the loss, then by modality."""
    gradient_shares: dict[str, float] = field(default_factory=dict)
    """By modality, its part of the whole gradient, 0..1."""


def read_history(folder: Path) -> list[Epoch]:
    """The epochs of a run.

    Raises:
        CheckpointError: absent or damaged.
    """
    path = folder / checkpoint.HISTORY
    try:
        epochs = TypeAdapter(list[Epoch]).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: expected {path.name}, found none") from None
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path} cannot be read: {one_line(error)[: checkpoint.LONGEST]}") from None
    if not epochs:
        raise CheckpointError(f"{path}: expected an entry for each epoch, found none")
    return epochs


def accuracies(epochs: list[Epoch]) -> Series:
    """Accuracy on the validation split, of each modality's own share and fused, 0..1."""
    own = {name: [epoch.validation.modality_accuracy[name] for epoch in epochs] for name in _modalities(epochs)}
    return {**own, FUSED: [epoch.validation.accuracy for epoch in epochs]}


def information(epochs: list[Epoch]) -> Series:
    """`information` and `information_bound` in nats, as far as the method has them."""
    found = {
        "information": [epoch.information for epoch in epochs],
        "information_bound": [epoch.information_bound for epoch in epochs],
    }
    return {
        name: [NONE if value is None else value for value in values]
        for name, values in found.items()
        if any(value is not None for value in values)
    }


def gradient_norms(epochs: list[Epoch]) -> dict[str, Series]:
    """By term of the loss, then by modality: norm of the gradient at each epoch's first batch."""
    terms = dict.fromkeys(term for epoch in epochs for term in epoch.gradient_norms)
    return {
        term: {
            name: [epoch.gradient_norms.get(term, {}).get(name, NONE) for epoch in epochs]
            for name in _modalities(epochs)
        }
        for term in terms
    }


def gradient_shares(epochs: list[Epoch]) -> Series:
    """Each modality's part of the gradient at each epoch's first batch, 0..1; nothing where no epoch has any."""
    if not any(epoch.gradient_shares for epoch in epochs):
        return {}
    return {name: [epoch.gradient_shares.get(name, NONE) for epoch in epochs] for name in _modalities(epochs)}


def _modalities(epochs: list[Epoch]) -> list[str]:
    """Those that every epoch has."""
    return [
        name
        for name in epochs[0].validation.modality_accuracy
        if all(name in epoch.validation.modality_accuracy for epoch in epochs)
    ]
