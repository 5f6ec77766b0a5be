"""The two values that travel through training: what goes into the model and what comes out."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Paired samples, ready for the encoders.

    Of several processes each has the inputs of its own samples only, and all that is known of the whole batch.
    """

    inputs: dict[str, Tensor]
    """By modality, `(batch, ...)` as the exported graph takes it."""
    labels: Tensor
    """`(batch,)` class indices."""
    samples: Tensor
    """`(batch,)` a number for each sample of the dataset."""
    groups: Tensor
    """`(batch,)` samples of one group are near-duplicates and never negatives of each other."""
    present: Tensor | None = None
    """`(batch, M)` bool: which modalities the classifier may use; None for all."""

    def to(self, device: object) -> "Batch":
        """The same batch on another device."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}  # type: ignore[call-overload]
        labels, samples, groups = (tensor.to(device) for tensor in (self.labels, self.samples, self.groups))  # type: ignore[call-overload]
        present = self.present.to(device) if self.present is not None else None  # type: ignore[call-overload]
        return Batch(inputs, labels, samples, groups, present)

    def part(self, known: slice, own: slice) -> "Batch":
        """Some of the samples: `own` of the inputs and `known` of what is known of all."""
        inputs = {name: tensor[own] for name, tensor in self.inputs.items()}
        present = self.present[known] if self.present is not None else None
        return Batch(inputs, self.labels[known], self.samples[known], self.groups[known], present)

    def pin_memory(self) -> "Batch":
        """The same batch where an accelerator can fetch it by itself."""
        inputs = {name: tensor.pin_memory() for name, tensor in self.inputs.items()}
        labels, samples, groups = (tensor.pin_memory() for tensor in (self.labels, self.samples, self.groups))
        return Batch(inputs, labels, samples, groups, self.present.pin_memory() if self.present is not None else None)


@dataclass(frozen=True)
class Output:
    """What the classifier gives for a batch."""

    logits: Tensor
    """`(batch, classes)`: the sum of the shares."""
    features: dict[str, Tensor]
    """By modality, `(batch, width)`: the encoders' representations z, of absent modalities too."""
    shares: dict[str, Tensor]
    """By modality, `(batch, classes)`: its part of the logits. With the fusions `concat` and `sum` it depends on that
    modality alone and is its own prediction."""


@dataclass(frozen=True)
class Examined:
    """What the classifier gives for a batch, and what it would have said of less."""

    out: Output
    coalitions: Tensor
    """`(batch, 2^M, classes)`: the logits of every coalition of the modalities present, as `bundle.coalitions` orders
    them; the last are the logits."""
    shifts: dict[str, Tensor]
    """By modality, `(batch,)`: how far its features lie from the training data's; 0 where it is absent."""
