"""Absent modalities: a learned stand-in for the features of each, and which are left out in training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle.coalitions import membership
from bundle.modalities import MODALITIES

STREAM = len(MODALITIES)
"""Number of the random stream that leaves modalities out; smaller ones are the modalities' augmentations."""


class StandIns(nn.Module):
    """One vector for each modality, which takes the place of its features where a sample lacks it.

    They start at 0 and are learned where training leaves modalities out (`--modality-dropout`); otherwise no loss
    depends on them. After training `training.finishing` learns them to the end, on the features as they then are.
    """

    def __init__(self, widths: dict[str, int]) -> None:
        super().__init__()
        self.names = list(widths)  # a ParameterDict sorts its keys, the columns of `present` are in this order
        self.vectors = nn.ParameterDict({name: nn.Parameter(torch.zeros(width)) for name, width in widths.items()})

    def forward(self, features: dict[str, Tensor], present: Tensor) -> dict[str, Tensor]:
        """Features by modality, `(batch, width)`, of which those of absent modalities are replaced.

        Nothing of an absent one is left, be it infinite or not a number. `present` is `(batch, M)` bool.
        """
        return {
            name: torch.where(present[:, position, None], features[name], self.vectors[name].to(features[name].dtype))
            for position, name in enumerate(self.names)
        }

    @torch.no_grad()
    def neutral(self, features: dict[str, Tensor]) -> None:
        """Make them the mean of some features, `(samples, width)` by modality."""
        for name, vector in self.vectors.items():
            vector.copy_(features[name].double().mean(dim=0))


def coalition_members(modalities: int, device: torch.device) -> Tensor:
    """`(2^M, M)` bool: the modalities of each coalition, in the order of `bundle.coalitions`."""
    return torch.from_numpy(membership(modalities).copy()).to(device)


def left_in(modalities: int, dropout: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """`(M,)`: which modalities of a training sample are left in, each dropped independently with probability `dropout`.

    All may be dropped: what is learned from those samples is the answer without any, the classes' frequencies.
    """
    found: NDArray[np.bool_] = generator.random(modalities) >= dropout
    return found
