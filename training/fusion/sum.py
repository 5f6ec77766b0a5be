"""Summation: each modality's own linear head, with its own bias; the logits are their sum."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from training.fusion._linear import linear


class Sum(nn.Module):
    """logits = (W1 z1 + b1) + (W2 z2 + b2) + …: late fusion, as in OGM-GE's official code.

    The shares are the heads' outputs, bias included: what each modality says by itself. The functions this can be are
    those of `concat`, whose single bias is the sum of the b's.
    """

    ADDITIVE: ClassVar[bool] = True
    """Whether each share depends on its own modality alone."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, widths: dict[str, int], classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: linear(width, classes) for name, width in widths.items()})

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features by modality, `(batch, width)`, to shares by modality, `(batch, classes)`."""
        return {name: head(features[name]) for name, head in self.heads.items()}
