"""The seam that keeps a training method one file: its hooks, and what it may know."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from training.batch import Batch, Output
from training.evaluate import Encoded, Evaluation
from training.model import Classifier


@dataclass(frozen=True)
class Setting:
    """What a method is built for."""

    widths: dict[str, int]
    """Feature width of each modality."""
    classes: int
    seed: int
    learning_rate: float
    additive: bool = True
    """Whether a modality's share depends on that modality alone, as for concat and sum."""
    class_weights: tuple[float, ...] | None = None
    """How much the samples of each class count where they are classified; not given, all alike."""


@dataclass(frozen=True)
class Run:
    """What a method may look at when an epoch starts."""

    epoch: int
    epochs: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    features: Callable[[Literal["train", "val"]], Encoded]
    """All features of a split, without augmentation, from the model as it is when called."""


class Method(nn.Module):
    """A training method. It owns its critics, heads and buffers, which move and are saved like weights.

    A subclass lives alone in `training/methods/<name>.py`, has a frozen dataclass `Options`, and writes `loss`.
    """

    Options: ClassVar[Any]
    SEPARATE: ClassVar[bool] = False
    """Whether every modality is trained by itself: its own accuracy is that of a classifier without the others."""
    WITHIN: ClassVar[tuple[str, ...]] = ()
    """Attributes that `epoch_start` and the steps of an epoch change and later ones need, other than what `state_dict`
    has: numbers, texts, tensors, and lists and dicts of them. They are saved within an epoch."""
    class_weights: Tensor | None
    """`(classes,)` float32, or None where all classes count alike; made from the data, so not saved."""

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__()
        self.setting = setting
        self.options = options
        weights = None if setting.class_weights is None else torch.tensor(setting.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """As `loss`, so that distributed wrappers see the method's parameters."""
        return self.loss(out, batch)

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms, whose sum is minimised."""
        raise NotImplementedError

    def classify(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy under the training's class weights, a scalar: what every method measures its task by.

        With weights w it is the weighted mean Σ_i w(y_i) l_i / Σ_i w(y_i), as torch has it: the weights are normalised
        within each batch, so that a batch of one class gives the plain mean, and the loss keeps its size.

        Args:
            logits: `(batch, classes)`.
            labels: `(batch,)` class indices.
        """
        return functional.cross_entropy(logits, labels, self.class_weights)

    def average(self, losses: Tensor, labels: Tensor) -> Tensor:
        """The mean that `classify` takes, of other losses of the task, `(batch,)`."""
        if self.class_weights is None:
            return losses.mean()
        weights = self.class_weights[labels]
        return (weights * losses).sum() / weights.sum()

    def backward(self, terms: dict[str, Tensor], accelerator: Accelerator) -> None:
        """Compute gradients; by default of the sum of the terms."""
        accelerator.backward(sum(terms.values()))

    def gradients(self, model: Classifier) -> None:
        """Called between the backward pass and the optimiser's step: may change the gradients."""

    def epoch_start(self, run: Run) -> None:
        """Called before each epoch, in training mode: parts that are put into evaluation mode stay in it meanwhile."""

    def trained(self) -> Iterable[nn.Parameter]:
        """The method's own parameters that the main optimiser trains; by default all."""
        return self.parameters()

    def score(self, evaluation: Evaluation) -> float:
        """What the best epoch is chosen by, on the validation split; by default the fused accuracy."""
        return evaluation.accuracy

    def diagnostics(self) -> dict[str, float]:
        """Figures of the epoch that just ended, for the progress line and the history; then starts afresh."""
        return {}
