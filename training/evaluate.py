"""How good a classifier is on one split: fused, and each modality by its own share."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from bundle import coalitions
from bundle.coalitions import JOIN
from training import gathering
from training.batch import Batch, Output
from training.model import Classifier


@dataclass(frozen=True)
class Evaluation:
    """Measured on one split."""

    accuracy: float
    """Share of samples whose most probable class is right, 0..1."""
    macro_f1: float
    """F1 averaged over classes, 0..1."""
    modality_accuracy: dict[str, float]
    """Accuracy of each modality's share by itself, 0..1."""
    samples: int
    coalition_accuracy: dict[str, float] = field(default_factory=dict)
    """Accuracy with some modalities only, by their names joined by "+"; without any, under the empty name."""

    def expected(self, dropout: float) -> float:
        """The mean accuracy where each modality is absent with a probability: what modality dropout trains for."""
        counts = {name: name.count(JOIN) + 1 if name else 0 for name in self.coalition_accuracy}
        every = max(counts.values())
        return sum(
            accuracy * (1 - dropout) ** counts[name] * dropout ** (every - counts[name])
            for name, accuracy in self.coalition_accuracy.items()
        )

    def line(self) -> str:
        """One line for people."""
        own = ", ".join(f"{name} alone {value:.3f}" for name, value in self.modality_accuracy.items())
        return f"accuracy {self.accuracy:.3f}, macro-F1 {self.macro_f1:.3f}; {own}; {self.samples} samples"


@dataclass(frozen=True)
class Scores:
    """Every sample's outputs on one split, in the split's order."""

    labels: NDArray[np.int64]
    samples: NDArray[np.int64]
    logits: NDArray[np.float32]
    """`(samples, classes)`."""
    shares: dict[str, NDArray[np.float32]]
    """By modality, `(samples, classes)`."""
    coalitions: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    """`(samples, 2^M, classes)`: the logits with every coalition of modalities, as `bundle.coalitions` orders them."""
    shifts: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """By modality, `(samples,)`: the distance of its features from the training data's."""
    deletions: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """By modality, `(samples,)`: the mean loss of the predicted class's probability where its features are another
    sample's; measured at the end of a training."""
    groups: NDArray[np.int64] | None = None
    """`(samples,)` samples of one group are near-duplicates: intervals must not take them for independent."""


@dataclass(frozen=True)
class Encoded:
    """Every sample's features on one split, in the split's order, on the CPU."""

    labels: torch.Tensor
    """`(samples,)`."""
    samples: torch.Tensor
    """`(samples,)` a number for each sample of the dataset."""
    features: dict[str, torch.Tensor]
    """By modality, `(samples, width)` float32."""


@torch.no_grad()
def encode(model: nn.Module, loader: Iterable[Batch], accelerator: Accelerator) -> Encoded:
    """Features in evaluation mode, over all processes; the model's modes and the global random state are left as they
    were.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    parts: list[tuple[torch.Tensor, ...]] = []
    names: list[str] = []
    with torch.random.fork_rng(devices=[]):  # a loader draws from the global generator when its iteration starts
        for batch in loader:
            moved = batch.to(accelerator.device)
            out: Output = model(moved.inputs)
            names = list(out.features)
            columns = (moved.samples, moved.labels, *(values.float() for values in out.features.values()))
            parts.append(tuple(column.cpu() for column in columns))
    for module, mode in modes:
        module.training = mode
    joined = [torch.cat(column) for column in zip(*parts, strict=True)]
    samples, labels, *features = gathering.everyone(joined, accelerator)
    return Encoded(labels, samples, dict(zip(names, features, strict=True)))


def collect(model: Classifier, loader: Iterable[Batch], accelerator: Accelerator) -> Scores:
    """Run the model in evaluation mode over a split, over all processes."""
    return _run(model, loader, accelerator, keep=False)[0]


def collect_encoded(model: Classifier, loader: Iterable[Batch], accelerator: Accelerator) -> tuple[Scores, Encoded]:
    """As `collect`, and the features that the scores came from: the split is encoded only once."""
    return _run(model, loader, accelerator, keep=True)


@torch.no_grad()
def _run(model: Classifier, loader: Iterable[Batch], accelerator: Accelerator, keep: bool) -> tuple[Scores, Encoded]:
    """The scores, and the features too if they are to be kept."""
    model.eval()
    gathered: list[tuple[torch.Tensor, ...]] = []
    names = list(model.encoders)
    for batch in loader:
        moved = batch.to(accelerator.device)
        everything = torch.ones(len(moved.labels), len(names), dtype=torch.bool, device=accelerator.device)
        found = model.examine(moved.inputs, everything)
        features = [found.out.features[name] for name in names] if keep else []
        values = (found.out.logits, found.coalitions, *found.out.shares.values(), *found.shifts.values(), *features)
        parts = (moved.samples, moved.labels, moved.groups, *(value.float() for value in values))
        gathered.append(tuple(part.cpu() for part in parts))
    joined = gathering.everyone([torch.cat(column) for column in zip(*gathered, strict=True)], accelerator)
    samples, labels, groups, logits, together, *more = (column.numpy() for column in joined)
    count = len(names)
    shares, shifts = (dict(zip(names, part, strict=True)) for part in (more[:count], more[count : 2 * count]))
    encoded = Encoded(joined[1], joined[0], dict(zip(names, joined[-count:], strict=True)) if keep else {})
    return Scores(labels, samples, logits, shares, together, shifts, groups=groups), encoded


def evaluate(scores: Scores) -> Evaluation:
    """The figures of a split."""
    predicted = scores.logits.argmax(axis=1)
    return Evaluation(
        accuracy=float(accuracy_score(scores.labels, predicted)),
        macro_f1=float(f1_score(scores.labels, predicted, average="macro", zero_division=0.0)),
        modality_accuracy={
            name: float(accuracy_score(scores.labels, share.argmax(axis=1))) for name, share in scores.shares.items()
        },
        samples=len(scores.labels),
        coalition_accuracy={
            name: float(accuracy_score(scores.labels, scores.coalitions[:, number].argmax(axis=1)))
            for number, name in enumerate(coalitions.names(tuple(scores.shares)) if scores.coalitions.size else ())
        },
    )
