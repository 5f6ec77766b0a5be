"""How strongly the loss pulls on each modality's encoder, by its terms (Eq. 13 of InfoBridge) and as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.model import Classifier


@dataclass(frozen=True)
class Pulls:
    """Euclidean norms of gradients with respect to the parameters of each encoder, of one batch."""

    terms: dict[str, dict[str, float]] = field(default_factory=dict)
    """By term of the loss, then by modality."""
    together: dict[str, float] = field(default_factory=dict)
    """By modality, of the sum of all terms: terms that pull in opposite directions cancel."""

    @property
    def shares(self) -> dict[str, float]:
        """Each modality's part of the gradient, 0..1: its `together` over the sum of all; none where all are 0."""
        whole = sum(self.together.values())
        return {name: value / whole for name, value in self.together.items()} if whole else {}


def pulls(terms: Mapping[str, Tensor], model: Classifier) -> Pulls:
    """What each term of a loss, and all of them together, pull each encoder with.

    As the terms reach the encoders: InfoBridge's information term already scaled by α. The graph is kept, and no
    parameter's `grad` is touched. A term that does not depend on an encoder has norm 0 there. The gradient of the sum
    is the sum of the terms' gradients, so it costs no further backward pass.

    Args:
        terms: scalars of one batch, before their backward pass.
        model: whose encoders are meant.
    """
    parameters = {
        name: [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        for name, encoder in model.encoders.items()
    }
    flat = [parameter for found in parameters.values() for parameter in found]
    whole: list[Tensor | None] = [None] * len(flat)
    norms: dict[str, dict[str, float]] = {}
    for term, value in terms.items():
        if not value.requires_grad or not flat:
            norms[term] = dict.fromkeys(parameters, 0.0)
            continue
        gradients = torch.autograd.grad(value, flat, retain_graph=True, allow_unused=True)
        norms[term] = _norms(gradients, parameters)
        whole = [_added(*pair) for pair in zip(whole, gradients, strict=True)]
    return Pulls(norms, _norms(whole, parameters))


def _added(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _norms(gradients: Sequence[Tensor | None], parameters: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """Of gradients that are in the order of all parameters, by modality."""
    left = iter(gradients)
    return {name: _norm([next(left) for _ in found]) for name, found in parameters.items()}


def _norm(gradients: Sequence[Tensor | None]) -> float:
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
