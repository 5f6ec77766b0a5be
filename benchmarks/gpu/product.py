"""The most that a card does in this run: a large product of matrices of random numbers."""

import statistics
import time

import torch

from benchmarks.timing import wait

SIZE, ROUNDS = 8192, 10


def product_rate(device: torch.device | str, dtype: torch.dtype, size: int = SIZE, rounds: int = ROUNDS) -> float:
    """Operations a second of the product of two square matrices, two for each product that is added; the median.

    Args:
        device: that computes.
        dtype: of the matrices.
        size: rows and columns.
        rounds: times that it is measured, after three that are not.
    """
    generator = torch.Generator(device).manual_seed(0)
    one, other = (torch.randn(size, size, device=device, generator=generator).to(dtype) for _ in range(2))
    made = torch.empty_like(one)
    taken = []
    for number in range(-3, rounds):
        wait()
        start = time.perf_counter()
        torch.mm(one, other, out=made)
        wait()
        if number >= 0:
            taken.append(time.perf_counter() - start)
    return 2.0 * size**3 / statistics.median(taken)
