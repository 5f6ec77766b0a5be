"""What an exported graph must be: declared from the modalities, before anything is traced."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bundle.answer import LOGITS, SHARE
from bundle.modalities import Modality, Text
from training.batch import Output
from training.model import Classifier


@dataclass(frozen=True)
class Axis:
    """An axis that varies, by its name in the graph."""

    name: str
    longest: int | None = None
    """What it is at most; None for no limit."""


Shape = tuple[Axis | int, ...]
BATCH = Axis("batch")


@dataclass(frozen=True)
class Declaration:
    """Names, types and shapes, in order."""

    inputs: dict[str, Shape]
    dtypes: dict[str, str]
    outputs: dict[str, Shape]


def declare(modalities: Mapping[str, Modality], classes: int) -> Declaration:
    """Inputs named by modality; outputs `logits` and `share_<modality>`, each `(batch, classes)`."""
    inputs = {name: _shape(name, modality) for name, modality in modalities.items()}
    dtypes = {name: modality.dtype for name, modality in modalities.items()}
    outputs = [LOGITS, *(SHARE + name for name in modalities)]
    return Declaration(inputs, dtypes, dict.fromkeys(outputs, (BATCH, classes)))


def _shape(name: str, modality: Modality) -> Shape:
    longest = modality.max_length if isinstance(modality, Text) else None
    sizes = enumerate(modality.shape, 1)
    return (BATCH, *(Axis(f"{name}_{position}", longest) if size is None else size for position, size in sizes))


class Graph(nn.Module):
    """A classifier with positional inputs and a plain tuple of outputs, as the exporter wants it.

    It has no label, context or critic: those stay with training.
    """

    def __init__(self, model: Classifier, declaration: Declaration) -> None:
        super().__init__()
        self.model = model
        self.names = list(declaration.inputs)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Tensors in the declared order, to logits and shares in the declared order."""
        out: Output = self.model(dict(zip(self.names, inputs, strict=True)))
        return (out.logits, *(out.shares[name] for name in self.names))
