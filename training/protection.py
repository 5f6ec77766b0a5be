"""False pairs that share the class, classified: what keeps a modality's own evidence from leaning on its partner's.

A false pair (z1 of one sample, z2 of another, both of class T) is a draw from p(z1 | T) p(z2 | T). The critic is asked
to tell it from a true pair; the classifier is asked to call it T all the same, as a classifier would that takes the
modalities for independent given T. docs/design.md says why, and when that is wrong.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.memory import draw


def partners(batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each sample, others of the batch with its label and of another group, uniformly.

    Args:
        batch: for labels and groups.
        count: N0, how many.
        generator: on the CPU.

    Returns:
        Positions `(batch, count)`, and `(batch,)` false for a sample without any (its positions mean nothing).
    """
    same = batch.labels[:, None] == batch.labels
    return draw(same & (batch.groups[:, None] != batch.groups), count, generator)


def protection_loss(
    shares: dict[str, Tensor], batch: Batch, count: int, generator: torch.Generator, weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of false pairs that share the class, a scalar; 0 where no sample has a partner.

    Samples without a partner in the batch do not count: classes that are rare in a batch count less than their share.
    Each sample keeps its share of the first modality; of every other modality the share is a partner's, each drawn by
    itself. The gradient reaches all of them.

    Args:
        shares: by modality, `(batch, classes)`, each its own modality's alone.
        batch: for labels and groups.
        count: N0, false pairs for each sample.
        generator: on the CPU.
        weights: `(classes,)`, how much the samples of each class count in the mean; all alike if None.
    """
    first, *others = shares.values()
    logits = first[:, None]
    valid = torch.zeros_like(batch.labels, dtype=torch.bool)
    for share in others:
        positions, valid = partners(batch, count, generator)
        logits = logits + share[positions]
    labels = batch.labels[:, None].expand(-1, count)
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").reshape(-1, count)
    keep = valid.to(losses.dtype) if weights is None else valid * weights[batch.labels]
    total = keep.sum()
    return (losses.mean(dim=1) * keep).sum() / torch.where(total > 0, total, 1.0)
