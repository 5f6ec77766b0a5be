"""T = the sample's class: false pairs share the label, so only what the modalities share beyond it counts."""

from dataclasses import dataclass

from torch import Tensor

from training.batch import Batch


class Semantic:
    """The semantic category as context. Only the critic sees it; the classifier and the exported graph never do."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, classes: int) -> None:
        self.count = classes

    def contexts(self, batch: Batch) -> Tensor:
        """T of each sample, `(batch,)` from 0 to count - 1."""
        return batch.labels
