"""What a card could do by its datasheet, and what a training step asks of it."""

import torch
from torch.utils.flop_counter import FlopCounterMode

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


def datasheet(name: str) -> float | None:
    """The vendor's figure for a card of this name; None where it is not known here."""
    return next((value for key, value in DATASHEETS.items() if key in name), None)


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
