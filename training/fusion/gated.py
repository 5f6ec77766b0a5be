"""Gating: the first modality opens and closes the projected features of the others, then one linear layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.errors import require_several
from training.fusion._linear import linear


class Gated(nn.Module):
    """logits = W (σ(G z1) ⊙ V z2) + b, with G and V affine: gated fusion as in OGM-GE's official code.

    For more modalities the gate acts on the sum of the others' projections: V z2 becomes V2 z2 + V3 z3 + …, which is
    one affine layer on their concatenation. The hidden width is that of the widest modality.

    The logits are not a sum of one-modality terms, so a share is the modality's Shapley value: what it adds when its
    zero features are replaced by its real ones, averaged over the orders in which the modalities can arrive. The gate
    meets each projection in a product of two players, which gives closed forms, with g = σ(G z1), g0 = σ(G 0),
    v_m = V_m z_m - V_m 0 and v0 = Σ_m V_m 0:

        z1 gets W ((g - g0) ⊙ (v0 + ½ Σ_m v_m)),   z_m gets W (½ (g + g0) ⊙ v_m)

    and what is left, the logits without any modality, W (g0 ⊙ v0) + b, is split evenly. The shares sum to the logits.
    Unlike those of `concat` and `sum`, a share depends on the other modalities' features too.

    Raises:
        ConfigError: fewer than two modalities.
    """

    ADDITIVE: ClassVar[bool] = False
    """Whether each share depends on its own modality alone."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, widths: dict[str, int], classes: int) -> None:
        super().__init__()
        require_several("gated", widths)
        self.first, *self.others = widths
        self.widths = [widths[name] for name in self.others]
        hidden = max(widths.values())
        self.gate = linear(widths[self.first], hidden)
        self.projection = linear(sum(self.widths), hidden)
        self.head = linear(hidden, classes)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features by modality, `(batch, width)`, to shares by modality, `(batch, classes)`."""
        gate, still = self.gate(features[self.first]).sigmoid(), self.gate.bias.sigmoid()
        columns = torch.split(self.projection.weight, self.widths, dim=1)
        values = {
            name: functional.linear(features[name], weight) for name, weight in zip(self.others, columns, strict=True)
        }
        opened = (gate - still) * (self.projection.bias + 0.5 * sum(values.values()))
        hidden = {self.first: opened, **{name: 0.5 * (gate + still) * value for name, value in values.items()}}
        empty = self.head(still * self.projection.bias) / len(hidden)
        return {name: functional.linear(part, self.head.weight) + empty for name, part in hidden.items()}
