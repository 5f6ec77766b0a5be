"""Concatenation: one linear layer on all features, kept apart by modality."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn


class Concat(nn.Module):
    """logits = W [z1; z2; …] + b, written as the sum of shares W1 z1 + b1, W2 z2 + b2, …: the same function.

    b is split evenly among the modalities by symmetry: every part starts at 0 and gets the same gradient.
    """

    ADDITIVE: ClassVar[bool] = True
    """Whether each share depends on its own modality alone."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, widths: dict[str, int], classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name, width in widths.items()})
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            nn.init.xavier_normal_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features by modality, `(batch, width)`, to shares by modality, `(batch, classes)`."""
        return {name: head(features[name]) for name, head in self.heads.items()}
