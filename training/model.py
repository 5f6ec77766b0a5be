"""The classifier: encoders, then fusion, with every modality's part of the logits kept visible."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bundle.modalities import Modality
from training import catalog
from training.absence import StandIns, coalition_members
from training.batch import Examined, Output
from training.config import Config
from training.encoder import Encoder
from training.errors import named
from training.shift import Shift


class Classifier(nn.Module):
    """Encodes each modality, then fuses; an absent modality's features are replaced by a stand-in.

    Args:
        encoders: one for each modality.
        fusion: features by modality to shares by modality.
        classes: number of labels.
    """

    def __init__(self, encoders: dict[str, Encoder], fusion: nn.Module, classes: int) -> None:
        super().__init__()
        widths = {name: encoder.width for name, encoder in encoders.items()}
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion
        self.stand_ins = StandIns(widths)
        self.shifts = nn.ModuleDict({name: Shift(width, classes) for name, width in widths.items()})

    def forward(self, inputs: dict[str, Tensor], present: Tensor | None = None) -> Output:
        """Arrays by modality, `(batch, ...)`, to logits, features and shares; logits and shares always in float32.

        In training mode only the fused logits go without what is absent, the shares do not: what a method asks of each
        modality by itself is learned from every sample.

        Args:
            inputs: of every modality; whatever stands for an absent one has no influence.
            present: `(batch, M)` bool; None where every sample has every modality.
        """
        return self.combine(self.encode(inputs), present)

    def combine(self, features: dict[str, Tensor], present: Tensor | None = None) -> Output:
        """What `forward` makes of features."""
        out = self.fuse(features, present)
        return replace(out, shares=self.fuse(features).shares) if self.training and present is not None else out

    def encode(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Arrays by modality to features by modality, `(batch, width)`."""
        return {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}

    def fuse(self, features: dict[str, Tensor], present: Tensor | None = None) -> Output:
        """Features by modality to logits and shares, which are those of the stand-in for an absent modality."""
        used = features if present is None else self.stand_ins(features, present)
        shares: dict[str, Tensor] = {name: share.float() for name, share in self.fusion(used).items()}
        first, *others = shares.values()
        logits = first
        for share in others:
            logits = logits + share
        return Output(logits, features, shares)

    def examine(self, inputs: dict[str, Tensor], present: Tensor) -> Examined:
        """As `forward`, and the logits of every coalition of the modalities present, from features computed once."""
        features = self.encode(inputs)
        out = self.fuse(features, present)
        members = coalition_members(len(features), present.device)
        additive = getattr(self.fusion, "ADDITIVE", False)
        coalitions = self._add(out, members) if additive else self._repeat(features, present, members)
        shifts = {
            name: torch.where(present[:, position], shift(features[name]), 0.0)
            for position, (name, shift) in enumerate(self.shifts.items())
        }
        return Examined(out, coalitions, shifts)

    def _add(self, out: Output, members: Tensor) -> Tensor:
        """The coalitions' logits where each share depends on its own modality alone: sums of shares."""
        given = torch.stack(list(out.shares.values()), dim=1)
        vectors = {name: vector[None] for name, vector in self.stand_ins.vectors.items()}
        absent = torch.cat([self.fusion(vectors)[name].float() for name in out.shares])
        weights = members.to(given.dtype)
        return weights @ given + (1 - weights) @ absent

    def _repeat(self, features: dict[str, Tensor], present: Tensor, members: Tensor) -> Tensor:
        """The coalitions' logits of any fusion: each is fused by itself."""
        together = (present[:, None] & members).flatten(0, 1)
        repeated = {
            name: values[:, None].expand(-1, len(members), -1).flatten(0, 1) for name, values in features.items()
        }
        logits = self.fuse(repeated, together).logits
        return logits.reshape(-1, len(members), logits.shape[-1])

    def architectures(self) -> dict[str, Any]:
        """What rebuilds pretrained encoders without their source, by modality."""
        found = {name: encoder.architecture() for name, encoder in self.encoders.items()}  # type: ignore[operator]
        return {name: architecture for name, architecture in found.items() if architecture is not None}


def build(
    config: Config, modalities: dict[str, Modality], classes: int, architectures: Mapping[str, Any] | None = None
) -> Classifier:
    """The classifier a configuration describes, with random (or pretrained) weights.

    Args:
        config: names the encoders and the fusion.
        modalities: what will be encoded.
        classes: number of labels.
        architectures: of a trained classifier, to rebuild it without loading pretrained weights.

    Raises:
        ConfigError: an encoder that does not take its modality, an unknown name, or weights that cannot be had.
    """
    encoders = {}
    for name, modality in modalities.items():
        chosen = config.of(name)
        architecture = (architectures or {}).get(name)
        with named(name):
            encoders[name] = catalog.load("encoders", chosen.encoder)(modality, chosen.encoder_options, architecture)
    widths = {name: encoder.width for name, encoder in encoders.items()}
    return Classifier(encoders, catalog.load("fusion", config.fusion)(widths, classes), classes)
