"""Gradients of parameters of which every process knows a part: summed wherever they are asked for."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn


class Summing:
    """Makes the gradients of some parameters those of all processes together.

    `Tensor.backward` and `torch.autograd.grad` both give the sum, so a method may use either. Each sum is a message
    for each parameter; within `deferred`, where nobody looks at the gradients, they wait for `settle`, which sends one.

    All processes must ask for the same gradients in the same order, as they do where their graphs are alike.

    Args:
        parameters: the encoders', of which each process sees its own samples only.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._waiting = False
        for parameter in self.parameters:
            parameter.register_hook(self._sum)  # type: ignore[no-untyped-call]

    def _sum(self, gradient: Tensor) -> Tensor:
        if self._waiting:
            return gradient
        found = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(found)
        return found

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Backward passes inside leave each process's own part in `grad`, until `settle`."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    @torch.no_grad()
    def settle(self) -> None:
        """Sum what deferred backward passes left."""
        found = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if not found:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in found])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in found])
        for gradient, part in zip(found, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
