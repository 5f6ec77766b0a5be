"""What an exported graph must be: declared from the modalities, before anything is traced."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE, SHIFT
from bundle.modalities import Modality, Text
from training.batch import Examined
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
    """Inputs named by modality, then `present` `(batch, M)`; outputs as `bundle.answer` reads them.

    They are `logits` and `share_<modality>`, each `(batch, classes)`, `coalitions` `(batch, 2^M, classes)` and
    `shift_<modality>` `(batch,)`.
    """
    inputs = {
        **{name: _shape(name, modality) for name, modality in modalities.items()},
        PRESENT: (BATCH, len(modalities)),
    }
    dtypes = {**{name: modality.dtype for name, modality in modalities.items()}, PRESENT: "bool"}
    outputs: dict[str, Shape] = {LOGITS: (BATCH, classes)}
    outputs |= {SHARE + name: (BATCH, classes) for name in modalities}
    outputs[COALITIONS] = (BATCH, 1 << len(modalities), classes)
    outputs |= {SHIFT + name: (BATCH,) for name in modalities}
    return Declaration(inputs, dtypes, outputs)


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
        """Of all inputs, `present` the last of them."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Tensors in the declared order, to the outputs in the declared order."""
        *names, _ = self.names
        *values, present = inputs
        found: Examined = self.model.examine(dict(zip(names, values, strict=True)), present)
        shares, shifts = (tuple(part[name] for name in names) for part in (found.out.shares, found.shifts))
        return (found.out.logits, *shares, found.coalitions, *shifts)
