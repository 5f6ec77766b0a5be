"""Assisted training: joint cross-entropy, and each modality's own on its share of the logits."""

import math
from dataclasses import dataclass

from torch import Tensor

from training.batch import Batch, Output
from training.errors import ConfigError, require_additive
from training.method import Method, Setting


class Assisted(Method):
    """L = CE(Σ_u f_u, y) + w Σ_u CE(f_u, y), with f_u the share of modality u: the simplest balanced training.

    With w = 1 all losses count alike, with w = 0 this is joint training, and with a large w nearly unimodal training. A
    modality that the others outrun keeps a gradient of its own. One head serves both: the share that must classify by
    itself is also what the modality adds to the fused logits, unlike the heads beside the fusion of `mmpareto`.

    The shares sum to the logits in every fusion, but only where they depend on one modality is CE(f_u, y) that
    modality's own: a share of `film` or `gated` would be trained through the other modalities' features. Those are
    refused.
    """

    @dataclass(frozen=True)
    class Options:
        """How much the modalities count by themselves."""

        weight: float = 1.0
        """w: of each modality's own cross-entropy; 1 is the plain sum of all losses."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 0 <= self.weight < math.inf:
                raise ConfigError(f"method.weight must not be negative, it is {self.weight}")

    options: "Assisted.Options"

    def __init__(self, setting: Setting, options: "Assisted.Options") -> None:
        super().__init__(setting, options)
        require_additive("assisted", setting.additive)

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the fused logits, and weighted of every share."""
        terms = {"task": self.classify(out.logits, batch.labels)}
        for name, share in out.shares.items():
            terms[name] = self.options.weight * self.classify(share, batch.labels)
        return terms
