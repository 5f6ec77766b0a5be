"""What every measured way of computing the same thing offers."""

import time
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.timing import wait

Outputs = tuple[Tensor, ...]


class Variant(Protocol):
    """One way; `open` comes first, for each size of a batch."""

    precision: str
    copies: "Copies | None"

    def open(self, inputs: Outputs) -> None:
        """Take a batch onto the device, and run it until nothing has to be made any more."""

    def run(self) -> Outputs:
        """From inputs on the device to outputs on it, which later runs may overwrite; perhaps not yet computed."""

    def run_with_copies(self) -> Outputs:
        """From inputs in the host's memory to outputs in it."""

    def close(self) -> None:
        """Let go of the batch."""


class Copies:
    """Inputs and outputs in pinned memory of the host, beside inputs on the device.

    Args:
        inputs: of one batch, in the host's memory.
        device: `cuda` or `cpu`.
    """

    def __init__(self, inputs: Outputs, device: str) -> None:
        self.device = device
        self.host = tuple(self._pinned(values) for values in inputs)
        self.inputs = tuple(values.to(device) for values in inputs)
        self._outputs: Outputs | None = None

    def _pinned(self, values: Tensor) -> Tensor:
        return values.pin_memory() if self.device == "cuda" else values

    def load(self, inputs: Outputs) -> None:
        """Put another batch of the same size into the host's memory."""
        for target, source in zip(self.host, inputs, strict=True):
            target.copy_(source)

    def take(self) -> None:
        """Copy the inputs to the device."""
        for target, source in zip(self.inputs, self.host, strict=True):
            target.copy_(source, non_blocking=True)

    def give(self, outputs: Outputs) -> Outputs:
        """Copy outputs to the host."""
        if self._outputs is None:
            self._outputs = tuple(self._pinned(torch.empty(values.shape, dtype=values.dtype)) for values in outputs)
        for target, source in zip(self._outputs, outputs, strict=True):
            target.copy_(source, non_blocking=True)
        wait()
        return self._outputs


def outputs_of_another(variant: Variant, inputs: Outputs) -> Outputs:
    """Of a batch that the variant has not seen, the place of its outputs spoilt first: nothing left over passes."""
    assert variant.copies is not None
    for values in variant.run():
        values.fill_(torch.nan)
    variant.copies.load(inputs)
    return tuple(values.clone() for values in variant.run_with_copies())


def seconds(variant: Variant, repeats: int, copies: bool) -> list[float]:
    """Of each of several runs, one after the other, each waited for."""
    task = variant.run_with_copies if copies else variant.run
    found = []
    wait()
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        wait()
        found.append(time.perf_counter() - start)
    return found
