"""How strongly each term of a loss pulls on each modality's encoder (Eq. 13 of InfoBridge), as figures."""

from collections.abc import Mapping

import torch
from torch import Tensor

from training.model import Classifier


def gradient_norms(terms: Mapping[str, Tensor], model: Classifier) -> dict[str, dict[str, float]]:
    """Euclidean norm of each term's gradient with respect to the parameters of each encoder.

    As the terms reach the encoders: InfoBridge's information term already scaled by α. The graph is kept, and no
    parameter's `grad` is touched. A term that does not depend on an encoder has norm 0 there.

    Args:
        terms: scalars of one batch, before their backward pass.
        model: whose encoders are meant.

    Returns:
        By term, then by modality.
    """
    parameters = {
        name: [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        for name, encoder in model.encoders.items()
    }
    together = [parameter for found in parameters.values() for parameter in found]
    norms: dict[str, dict[str, float]] = {}
    for term, value in terms.items():
        if not value.requires_grad or not together:
            norms[term] = dict.fromkeys(parameters, 0.0)
            continue
        gradients = iter(torch.autograd.grad(value, together, retain_graph=True, allow_unused=True))
        norms[term] = {name: _norm([next(gradients) for _ in found]) for name, found in parameters.items()}
    return norms


def _norm(gradients: list[Tensor | None]) -> float:
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
