"""Rows of all processes in one tensor, with gradients: each process sees the whole batch, and encodes its part.

Every process computes the loss L of the whole batch. What it asks of the rows that it encoded itself is all of their
gradient, ∂L/∂z, and of nobody else's rows; the parameters of encoders then have the sum over the processes as their
gradient (`training.summing`). Sums over processes, of batch statistics, are of all rows, and so is their gradient.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, distributed


class _Rows(torch.autograd.Function):
    """All processes' rows; the gradient is that of this process's own."""

    @staticmethod
    def forward(context: Any, rows: Tensor, sizes: tuple[int, ...], process: int) -> Tensor:
        context.own = slice(sum(sizes[:process]), sum(sizes[: process + 1]))
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(found, padded)
        return torch.cat([part[:size] for part, size in zip(found, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][context.own].contiguous(), None, None


class _Total(torch.autograd.Function):
    """The sum over processes; so is the gradient, since every process's rows depend on the sum."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(values: Tensor) -> Tensor:
    found = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(found)
    return found


def rows(own: Tensor, sizes: Sequence[int]) -> Tensor:
    """`(own, …)` rows of each process to those of all, `(sum of sizes, …)`, in the order of the processes.

    Args:
        own: this process's.
        sizes: how many each process has, none of them 0.
    """
    assert len(own) == sizes[distributed.get_rank()]
    found: Tensor = _Rows.apply(own, tuple(sizes), distributed.get_rank())  # type: ignore[no-untyped-call]
    return found


def total(values: Tensor) -> Tensor:
    """The sum of a tensor over the processes, differentiable."""
    found: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return found


def everyone(columns: Sequence[Tensor], accelerator: Accelerator) -> list[Tensor]:
    """Rows of an evaluation from all processes, each sample once, on the CPU; without gradient.

    Args:
        columns: `(own rows, …)` each, of which the first are the samples' numbers: the result is in their order.
        accelerator: who gathers. Of one process, everything is left as it is.
    """
    if accelerator.num_processes == 1:
        return list(columns)
    found = []
    for column in columns:
        padded = accelerator.pad_across_processes(column.to(accelerator.device), pad_index=-1)
        found.append(accelerator.gather(padded).cpu())
    numbers, first = np.unique(found[0].numpy(), return_index=True)
    kept = torch.from_numpy(first[numbers >= 0])
    return [column[kept] for column in found]
