"""Unimodal training: every modality by itself, all of them in one run."""

from dataclasses import dataclass

from torch import Tensor

from training.batch import Batch, Output
from training.errors import require_additive
from training.evaluate import Evaluation
from training.method import Method, Setting


class Unimodal(Method):
    """Each encoder and its part of the head learn from their own cross-entropy only.

    The shares have separate weights and biases, so no gradient crosses between modalities: each modality's accuracy is
    that of a classifier trained on it alone. The fused answer, the sum of the logits, is plain late fusion.
    """

    SEPARATE = True

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, setting: Setting, options: "Unimodal.Options") -> None:
        super().__init__(setting, options)
        require_additive("unimodal", setting.additive)

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of every share."""
        return {name: self.classify(share, batch.labels) for name, share in out.shares.items()}

    def score(self, evaluation: Evaluation) -> float:
        """The modalities' mean accuracy, since this method is about them and not about their fusion."""
        return sum(evaluation.modality_accuracy.values()) / len(evaluation.modality_accuracy)
