"""The mathematics of InfoBridge as pure functions, one per equation, in nats.

Notation: J = 1 marks a true pair, J = 0 a false pair that shares the context T; N1 true and N0 false pairs;
κ = N0 / N1; g the critic's score; γ = log(N1 / N0) the margin; h = σ(g + γ) the probability of a true pair.

The optimal score is the pointwise mutual information, g* = log p(z1, z2 | T) / (p(z1 | T) p(z2 | T)), exactly because
γ sits inside the logit (Eq. 3 of InfoBridge). The paper's Eq. 5 and 8 state the bound with log(N1 / N0); from its own
Eq. 4 the constant is log(N0 / N1), which is what `lower_bound` uses. With the paper's sign the inequality still holds
but is 2 log κ nats looser.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def prior_logit(negatives: int, positives: int = 1) -> float:
    """The margin γ = log(N1 / N0): the logit of the prior p(J = 1 | T) of Eq. 2."""
    return math.log(positives / negatives)


def information_ceiling(negatives: int, positives: int = 1) -> float:
    """log κ: the largest mutual information that `lower_bound` can certify, since the objective is never positive."""
    return -prior_logit(negatives, positives)


def nce_objective(positive: Tensor, negative: Tensor, valid: Tensor, margin: float) -> Tensor:
    """L(h) = E[log h | J = 1] + κ E[log(1 - h) | J = 0], Eq. 1: a scalar, at most 0, to be maximised.

    Args:
        positive: scores g of the true pairs, `(batch,)`.
        negative: scores g of each anchor's false pairs, `(batch, N0)`; κ = N0, one true pair per anchor.
        valid: `(batch,)` false where the anchor has no false pair; such an anchor counts in neither term.
        margin: γ, added to every score.
    """
    keep = valid.float()
    anchors = keep.sum().clamp(min=1.0)
    attract = functional.logsigmoid(positive.float() + margin)
    repel = functional.logsigmoid(-(negative.float() + margin)).sum(dim=1)  # κ times the mean over N0 = κ pairs
    return ((attract + repel) * keep).sum() / anchors


def lower_bound(objective: Tensor, negatives: int) -> Tensor:
    """log κ + L(h) <= I(z1; z2 | T) for every critic h: Eq. 8 with its sign corrected."""
    return objective + information_ceiling(negatives)


def information_estimate(positive: Tensor, valid: Tensor) -> Tensor:
    """E[g | J = 1], which is I(z1; z2 | T) for the optimal critic: a scalar, neither a lower nor an upper bound.

    The optimal critic of an objective whose margin is not log(1 / κ) scores g* - log κ - γ: add that back first.
    """
    keep = valid.float()
    return (positive.float() * keep).sum() / keep.sum().clamp(min=1.0)


def pressures(score: Tensor, margin: float, negatives: int) -> tuple[Tensor, Tensor]:
    """How strongly a pair is attracted, 1 - h, and repelled, κ h, at score g (the true gradient, in place of Eq. 14).

    With γ = log(N1 / N0) both are equal at g = 0, independent features; without it repulsion is κ times attraction.
    """
    probability = torch.sigmoid(score + margin)
    return 1.0 - probability, negatives * probability


def scale_gradient(features: Tensor, factor: float) -> Tensor:
    """The same values, whose gradient is multiplied by `factor`: α for the encoders, 1 for the critic, in one pass."""
    if factor == 0.0:
        return features.detach()
    scaled: Tensor = _ScaledGradient.apply(features, factor)  # type: ignore[no-untyped-call]
    return scaled


class _ScaledGradient(torch.autograd.Function):
    """Nothing to compute on the way forward: a device's queue is filled by those who come before."""

    @staticmethod
    def forward(context: Any, features: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * context.factor, None


def gaussian_information(correlation: Tensor, dimensions: int) -> Tensor:
    """I = -d/2 log(1 - ρ²) of two d-dimensional Gaussians whose matching coordinates correlate by ρ."""
    return -0.5 * dimensions * torch.log1p(-(correlation**2))
