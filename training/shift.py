"""How far a modality's features lie from those of the training data: Mahalanobis' distance to the nearest class."""

import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

LEAST, ROUNDING = 1e-6, 1e-6
"""Smallest variance of a direction, as a share of the mean one, and as a share of the features' mean square. What is
less is rounding, since float32 networks differ by some 1e-7 of their features from one runtime to another."""


class Shift(nn.Module):
    """d(z) = min_c √((z - μ_c)ᵀ Σ⁻¹ (z - μ_c) / width), with the classes' means and one covariance of all of them.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples" (2018), with the covariance
    within the classes shrunk after Ledoit and Wolf (2004), since there are often fewer samples than a covariance has
    entries. By the division a typical training sample is at about 1. Before `fit`, every distance is 0.
    """

    whitening: Tensor
    centre: Tensor
    means: Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("whitening", torch.zeros(width, width))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("means", torch.zeros(classes, width))

    def forward(self, features: Tensor) -> Tensor:
        """Features `(batch, width)` to distances `(batch,)`, computed in float32."""
        white = (features.float() - self.centre) @ self.whitening  # near 0, where float32 is finest
        return (white[:, None] - self.means).square().mean(dim=2).amin(dim=1).sqrt()

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Learn means and covariance from the training split.

        Args:
            features: `(samples, width)`, in evaluation mode.
            labels: `(samples,)`; every class occurs.
        """
        values = features.double().cpu()
        member = nn.functional.one_hot(labels.cpu(), len(self.means)).double()
        means = member.T @ values / member.sum(dim=0)[:, None]
        covariance, _ = ledoit_wolf((values - means[labels.cpu()]).numpy(), assume_centered=True)
        variances, directions = torch.linalg.eigh(torch.from_numpy(covariance))
        floor = LEAST * variances.mean() + ROUNDING * values.square().mean() + ROUNDING**2
        whitening = directions * variances.clamp(min=floor).rsqrt()
        self.whitening.copy_(whitening)
        centre = values.mean(dim=0)
        self.centre.copy_(centre)
        self.means.copy_((means - centre) @ whitening)
