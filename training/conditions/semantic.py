"""T = the sample's class: false pairs share the label, so only what the modalities share beyond it counts."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from training.batch import Batch
from training.condition import Condition
from training.method import Setting


class Semantic(Condition):
    """The semantic category as context, the paper's own choice."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, setting: Setting, options: "Semantic.Options") -> None:
        super().__init__(setting, options)
        self.count = setting.classes

    def contexts(self, batch: Batch, *others: Any) -> Tensor:
        """The labels."""
        return batch.labels
