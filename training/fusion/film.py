"""FiLM: the first modality scales and shifts the features of the others, then one linear layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.errors import require_several
from training.fusion._linear import linear


class Film(nn.Module):
    """logits = W (γ(z1) ⊙ z2 + β(z1)) + b, with γ and β affine in z1: FiLM as in OGM-GE's official code.

    For more modalities, z1 modulates each of the others by itself and W reads them all:
    logits = Σ_m W_m (γ_m(z1) ⊙ z_m + β_m(z1)) + b over m >= 2. With two it is the formula above.

    The logits are not a sum of one-modality terms, so a share is the modality's Shapley value: what it adds when its
    zero features are replaced by its real ones, averaged over the orders in which the modalities can arrive. Each term
    of the sum has two players, which gives closed forms, with γ0 = γ(0) and β0 = β(0):

        z1 gets Σ_m W_m (½ (γ_m - γ0_m) ⊙ z_m + β_m - β0_m),   z_m gets W_m (½ (γ_m + γ0_m) ⊙ z_m)

    and what is left, the logits without any modality, Σ_m W_m β0_m + b, is split evenly. The shares sum to the logits.
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
        require_several("film", widths)
        self.first, *self.others = widths
        self.modulations = nn.ModuleDict({name: linear(widths[self.first], 2 * widths[name]) for name in self.others})
        self.widths = [widths[name] for name in self.others]
        self.head = linear(sum(self.widths), classes)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features by modality, `(batch, width)`, to shares by modality, `(batch, classes)`."""
        first = features[self.first]
        empty = self.head.bias / (len(self.others) + 1)
        conditioning = torch.zeros_like(self.head.bias)
        shares = {}
        for name, weight in zip(self.others, torch.split(self.head.weight, self.widths, dim=1), strict=True):
            modulation = self.modulations[name]
            scale, shift = modulation(first).chunk(2, dim=1)
            still_scale, still_shift = modulation.bias.chunk(2)  # type: ignore[operator]
            values = features[name]
            empty = empty + weight @ still_shift / (len(self.others) + 1)
            conditioning = conditioning + (0.5 * (scale - still_scale) * values + shift - still_shift) @ weight.T
            shares[name] = (0.5 * (scale + still_scale) * values) @ weight.T
        return {name: share + empty for name, share in {self.first: conditioning, **shares}.items()}
