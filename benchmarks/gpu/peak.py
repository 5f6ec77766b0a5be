"""What a card can do at most, by a large product of matrices and by its data sheet, and what a model asks of it."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.on_torch import DTYPES, allow_tf32
from benchmarks.gpu.pairings import Pairing
from benchmarks.gpu.product import SIZE, product_rate

SHEETS = {
    "H100": {"fp32": 67e12, "tf32": 494.7e12, "fp16": 989.4e12, "bf16": 989.4e12},
    "H200": {"fp32": 67e12, "tf32": 494.7e12, "fp16": 989.4e12, "bf16": 989.4e12},
    "A100": {"fp32": 19.5e12, "tf32": 156e12, "fp16": 312e12, "bf16": 312e12},
}
"""Operations a second of dense matrices, from the makers' data sheets of the SXM cards."""


def peaks(device: str, size: int = SIZE) -> dict[str, float]:
    """Operations a second of the product of two square matrices of random numbers, by precision."""
    found = {}
    for precision, dtype in DTYPES.items():
        allow_tf32(precision == "tf32")
        found[precision] = product_rate(device, dtype, size)
    allow_tf32(False)
    return found


def sheet(card: str) -> dict[str, float]:
    """Of the data sheet, by precision; empty where the card is not known here."""
    return next((rates for name, rates in SHEETS.items() if name in card), {})


def operations(pairing: Pairing) -> float:
    """Floating-point operations of one sample, of products and convolutions: two for each product that is added."""
    batch = 2
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        pairing.graph()(*pairing.inputs(batch, 0))
    return float(counter.get_total_flops()) / batch
