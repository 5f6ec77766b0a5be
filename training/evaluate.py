"""How good a classifier is on one split: fused, and each modality by its own share."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from training.batch import Batch, Output


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


@torch.no_grad()
def collect(model: nn.Module, loader: Iterable[Batch], accelerator: Accelerator) -> Scores:
    """Run the model in evaluation mode over a split, over all processes."""
    model.eval()
    gathered: list[tuple[torch.Tensor, ...]] = []
    names: list[str] = []
    for batch in loader:
        moved = batch.to(accelerator.device)
        out: Output = model(moved.inputs)
        names = list(out.shares)
        parts = (moved.labels, moved.samples, out.logits.float(), *(share.float() for share in out.shares.values()))
        gathered.append(tuple(part.cpu() for part in accelerator.gather_for_metrics(parts)))
    labels, samples, logits, *shares = (torch.cat(column).numpy() for column in zip(*gathered, strict=True))
    return Scores(labels, samples, logits, dict(zip(names, shares, strict=True)))


@torch.no_grad()
def encode(
    model: nn.Module, loader: Iterable[Batch], accelerator: Accelerator
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Features by modality, `(samples, width)` in float32, and labels `(samples,)` of a split, over all processes.

    The model is in evaluation mode meanwhile, and then again as it was.
    """
    before = model.training
    model.eval()
    gathered: list[tuple[torch.Tensor, ...]] = []
    names: list[str] = []
    for batch in loader:
        moved = batch.to(accelerator.device)
        out: Output = model(moved.inputs)
        names = list(out.features)
        parts = (moved.labels, *(values.float() for values in out.features.values()))
        gathered.append(tuple(accelerator.gather_for_metrics(parts)))
    model.train(before)
    labels, *features = (torch.cat(column) for column in zip(*gathered, strict=True))
    return dict(zip(names, features, strict=True)), labels


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
    )
