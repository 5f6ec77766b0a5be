"""The memory of past projections, and the sampler that draws false pairs from it."""

from typing import Literal

import torch
from torch import Tensor, nn

Negatives = Literal["same_context", "any"]


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
        allowed = (self.samples >= 0) & (self.samples != samples[:, None]) & (self.groups != groups[:, None])
        if negatives == "same_context":
            allowed &= self.contexts == contexts[:, None]
        return allowed


def draw(candidates: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `count` entries for each anchor, uniformly; without replacement where there are enough.

    Args:
        candidates: `(batch, size)` booleans.
        count: N0.
        generator: of the sampler alone, on the CPU, so that drawing disturbs no other random stream.

    Returns:
        Indices `(batch, count)`, and `(batch,)` false for an anchor without any candidate (its indices mean nothing).
    """
    batch, size = candidates.shape
    keys = torch.rand(batch, size, generator=generator).to(candidates.device)
    available = candidates.sum(dim=1)
    width = min(count, size)
    best = keys.masked_fill(~candidates, -1.0).topk(width, dim=1).indices
    ranks = torch.arange(count, device=candidates.device).expand(batch, count)
    again = (torch.rand(batch, count, generator=generator).to(candidates.device) * available[:, None]).long()
    positions = torch.where(ranks < available[:, None], ranks, again).clamp(max=width - 1)
    return best.gather(1, positions), available > 0
