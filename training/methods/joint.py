"""Joint training: cross-entropy on the fused logits, the baseline every other method starts from."""

from dataclasses import dataclass

from torch import Tensor

from training.batch import Batch, Output
from training.method import Method


class Joint(Method):
    """Joint-Train of the InfoBridge paper."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the fused logits."""
        return {"task": self.classify(out.logits, batch.labels)}
