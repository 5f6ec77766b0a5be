"""The peer: pytorch-metric-learning's CrossBatchMemory with NTXentLoss, between two modalities.

How the two are made comparable. Both begin with features and project them by a linear layer to the same width, both
keep the same number of past projections of each modality, both let each modality's anchors face the other modality's
memory, both compute a value and its gradient for features and projections. The library has no form for two
modalities, so there is one CrossBatchMemory for each direction: the partner's projections are enqueued, the anchor's
are not (its `enqueue_mask`), and a sample's number is its label, so that its own partner is the one true pair and all
other entries are false ones. That is the cheapest way to do it there: with classes as labels, true pairs are a
hundred times as many, and its work grows with true pairs times false pairs.

What stays different is the loss: NTXent compares an anchor with all entries, InfoBridge with N0 of its context.
"""

import importlib.util
from typing import Any

import torch
from torch import Tensor, nn

from training.batch import Batch

INSTALLED = importlib.util.find_spec("pytorch_metric_learning") is not None


class CrossBatch(nn.Module):
    """Both directions of NTXent over two memories.

    Args:
        widths: feature width of the two modalities.
        dimensions: width of the projections.
        size: entries kept of each modality.
        temperature: of NTXent.
    """

    def __init__(self, widths: dict[str, int], dimensions: int, size: int, temperature: float) -> None:
        super().__init__()
        from pytorch_metric_learning.losses import CrossBatchMemory, NTXentLoss

        self.projections = nn.ModuleDict({name: nn.Linear(width, dimensions) for name, width in widths.items()})
        self.losses: list[Any] = [CrossBatchMemory(NTXentLoss(temperature), dimensions, size) for _ in range(2)]

    def forward(self, features: dict[str, Tensor], batch: Batch) -> Tensor:
        """The mean of both directions, a scalar to be minimised."""
        first, second = (self.projections[name](values) for name, values in features.items())
        labels = torch.cat([batch.samples, batch.samples])
        partner = torch.arange(len(labels), device=labels.device) >= len(batch.samples)
        pairs = ((first, second), (second, first))
        found = [
            loss(torch.cat([anchors, partners]), labels, enqueue_mask=partner)
            for loss, (anchors, partners) in zip(self.losses, pairs, strict=True)
        ]
        return torch.stack(found).mean()
