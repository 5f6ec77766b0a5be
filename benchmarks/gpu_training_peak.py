"""What a card could do, from its datasheet and measured; and what a training step asks of it."""

import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_training_steps import synchronize
from training.batch import Batch
from training.loop import Loop

DATASHEETS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A10": 125e12,
    "L4": 121e12,
}
"""bf16 operations per second, dense, of cards whose name contains the key; the first that does counts."""
SIZE = 8192


def datasheet(name: str) -> float | None:
    """The vendor's figure for a card of this name; None where it is not known here."""
    return next((value for key, value in DATASHEETS.items() if key in name), None)


def measured_peak(device: torch.device, size: int = SIZE, repeats: int = 20) -> float:
    """bf16 operations per second of a product of two random square matrices, the median of the repeats."""
    generator = torch.Generator(device).manual_seed(0)
    one, other = (torch.randn(size, size, device=device, generator=generator).bfloat16() for _ in range(2))
    found = torch.empty_like(one)
    seconds = []
    for repeat in range(-3, repeats):
        synchronize()
        began = time.perf_counter()
        for _ in range(4):
            torch.matmul(one, other, out=found)
        synchronize()
        if repeat >= 0:
            seconds.append((time.perf_counter() - began) / 4)
    return 2 * size**3 / statistics.median(seconds)


def operations(loop: Loop, batches: list[Batch]) -> float:
    """Floating-point operations of a step's model, forward and backward: the mean over batches, whose texts differ.

    Products, convolutions and attention are counted; they are nearly all. What the method adds is not the model's.
    """
    loop.model.train()
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            with loop.accelerator.autocast():
                found = loop.model.fuse(loop.model.encode(batch.inputs))
            torch.autograd.backward(found.logits.sum())
            loop.optimizer.zero_grad()
    return float(counter.get_total_flops()) / len(batches)
