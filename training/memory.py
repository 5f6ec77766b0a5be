"""The memory of past projections, and the sampler that draws false pairs from it."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Negatives = Literal["same_context", "any"]

_BLOCK = 16
"""Entries counted at once when one is looked up by its rank; below 256, so that a count fits a byte."""


class Memory(nn.Module):
    """First in, first out: detached projections with their context, sample and group.

    Args:
        size: entries kept (the paper: 1024).
        dimensions: width of the projections.
        modalities: names of the modalities.
    """

    contexts: Tensor
    samples: Tensor
    groups: Tensor
    position: Tensor

    def __init__(self, size: int, dimensions: int, modalities: list[str]) -> None:
        super().__init__()
        self.size = size
        self.modalities = modalities
        for name in modalities:
            self.register_buffer(f"projections_{name}", torch.zeros(size, dimensions))
        for name in ("contexts", "samples", "groups"):
            self.register_buffer(name, torch.full((size,), -1, dtype=torch.long))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def projections(self, modality: str) -> Tensor:
        """`(size, dimensions)`; rows never written are zeros and are never drawn."""
        return self.get_buffer(f"projections_{modality}")

    def rows(self, modality: str, indices: Tensor) -> Tensor:
        """`(*indices.shape, dimensions)`: the projections of these entries."""
        return functional.embedding(indices, self.projections(modality))  # copies rows; plain indexing goes by number

    @torch.no_grad()
    def push(self, projections: dict[str, Tensor], contexts: Tensor, samples: Tensor, groups: Tensor) -> None:
        """Append a batch, overwriting the oldest entries."""
        count = min(len(samples), self.size)
        rows = (self.position + torch.arange(count, device=samples.device)) % self.size
        for name in self.modalities:
            self.projections(name)[rows] = projections[name][-count:].float()
        self.contexts[rows] = contexts[-count:]
        self.samples[rows] = samples[-count:]
        self.groups[rows] = groups[-count:]
        self.position.copy_((self.position + count) % self.size)

    def candidates(self, contexts: Tensor, samples: Tensor, groups: Tensor, negatives: Negatives) -> Tensor:
        """`(batch, size)`: which entries may be a false partner of each anchor.

        Never the same sample or group; with "same_context" only entries whose T equals the anchor's.
        """
        written = self.contexts == contexts[:, None] if negatives == "same_context" else self.samples >= 0
        return written & (self.samples != samples[:, None]) & (self.groups != groups[:, None])


def draw(candidates: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `count` entries for each anchor, uniformly; without replacement where there are enough.

    Args:
        candidates: `(batch, size)` booleans.
        count: N0.
        generator: of the sampler alone, on the CPU, so that drawing disturbs no other random stream.

    Returns:
        Indices `(batch, count)`, and `(batch,)` false for an anchor without any candidate (its indices mean nothing).
    """
    (drawn,), valid = draw_repeatedly(candidates, count, 1, generator)
    return drawn, valid


def draw_repeatedly(
    candidates: Tensor, count: int, times: int, generator: torch.Generator
) -> tuple[tuple[Tensor, ...], Tensor]:
    """What `draw` gives when it is called `times` times in a row, for the cost of little more than one.

    Random numbers are as many as draws, not as entries: each chooses a rank among the candidates that are left, and
    the entry of that rank is looked up. Nothing as wide as the memory is made: the one pass over it counts candidates.
    """
    batch, size = candidates.shape
    whole = candidates if size % _BLOCK == 0 else functional.pad(candidates, (0, -size % _BLOCK))
    blocks = whole.view(torch.uint8).reshape(batch, -1, _BLOCK)
    ends = blocks.sum(dim=2, dtype=torch.uint8).cumsum(dim=1)  # `(batch, blocks)`: candidates up to and with each
    available = ends[:, -1]
    uniform = torch.stack([torch.rand(batch, count, generator=generator) for _ in range(times)], dim=1)
    if candidates.is_cuda:
        uniform = (
            uniform.pin_memory()
        )  # the copy can then be queued; else the host waits for all that was queued before
    uniform = uniform.to(candidates.device, non_blocking=True)
    ranks = _ranks(uniform, available[:, None, None]).flatten(1)
    block = torch.searchsorted(ends, ranks, right=True).clamp(max=blocks.shape[1] - 1)
    rows = block + blocks.shape[1] * torch.arange(batch, device=block.device)[:, None]
    inside = functional.embedding(rows, blocks.flatten(0, 1)).cumsum(dim=2, dtype=torch.uint8)
    before = ends.gather(1, block) - inside[:, :, -1]
    place = (inside <= (ranks - before)[:, :, None]).sum(dim=2)
    indices = (block * _BLOCK + place).clamp(max=size - 1)
    return indices.reshape(batch, times, count).unbind(dim=1), available > 0


def _ranks(uniform: Tensor, available: Tensor) -> Tensor:
    """From `(..., count)` numbers in [0, 1): ranks below `available`, `(..., 1)`, distinct while there are any left.

    Each chooses among the ranks that were not taken yet, so they are a Lehmer code, and are decoded as such: from the
    end, each moves those after it up by one that are not below it. Where all are taken, which compares with nothing,
    any of them is chosen again.
    """
    left = available - torch.arange(uniform.shape[-1], device=uniform.device)
    ranks = torch.where(left > 0, uniform * left, math.nan).trunc()  # whole numbers of 24 bits, exact in float32
    for turn in reversed(range(uniform.shape[-1] - 1)):
        after = ranks[..., turn + 1 :]
        after += after >= ranks[..., turn, None]
    return torch.where(ranks.isnan(), uniform * available, ranks).long()
