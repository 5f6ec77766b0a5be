"""T = 0: one context for all, so that I(z1; z2 | T) is the plain I(z1; z2)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.batch import Batch
from training.condition import Condition


class Constant(Condition):
    """No context prior: the objective is unconditional noise-contrastive estimation, false pairs from any sample."""

    count = 1

    @dataclass(frozen=True)
    class Options:
        """None."""

    def contexts(self, batch: Batch, *others: Any) -> Tensor:
        """Zeros."""
        return torch.zeros_like(batch.labels)
