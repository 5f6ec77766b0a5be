"""The two values that travel through training: what goes into the model and what comes out."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Paired samples, ready for the encoders."""

    inputs: dict[str, Tensor]
    """By modality, `(batch, ...)` as the exported graph takes it."""
    labels: Tensor
    """`(batch,)` class indices."""
    samples: Tensor
    """`(batch,)` a number for each sample of the dataset."""
    groups: Tensor
    """`(batch,)` samples of one group are near-duplicates and never negatives of each other."""

    def to(self, device: object) -> "Batch":
        """The same batch on another device."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}  # type: ignore[call-overload]
        moved = (tensor.to(device) for tensor in (self.labels, self.samples, self.groups))  # type: ignore[call-overload]
        return Batch(inputs, *moved)


@dataclass(frozen=True)
class Output:
    """What the classifier gives for a batch."""

    logits: Tensor
    """`(batch, classes)`: the sum of the shares."""
    features: dict[str, Tensor]
    """By modality, `(batch, width)`: the encoders' representations z."""
    shares: dict[str, Tensor]
    """By modality, `(batch, classes)`: its part of the logits. With the fusions `concat` and `sum` it depends on that
    modality alone and is its own prediction."""
