"""The classifier: encoders, then fusion, with every modality's part of the logits kept visible."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from bundle.modalities import Modality
from training import catalog
from training.batch import Output
from training.config import Config
from training.encoder import Encoder


class Classifier(nn.Module):
    """Encodes each modality, then fuses.

    Args:
        encoders: one for each modality.
        fusion: features by modality to shares by modality.
    """

    def __init__(self, encoders: dict[str, Encoder], fusion: nn.Module) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion

    def forward(self, inputs: dict[str, Tensor]) -> Output:
        """Arrays by modality, `(batch, ...)`, to logits, features and shares; logits and shares always in float32."""
        features = {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}
        shares: dict[str, Tensor] = {name: share.float() for name, share in self.fusion(features).items()}
        first, *others = shares.values()
        logits = first
        for share in others:
            logits = logits + share
        return Output(logits, features, shares)

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
        ConfigError: an encoder that does not take its modality, or an unknown name.
    """
    encoders = {}
    for name, modality in modalities.items():
        chosen = config.of(name)
        architecture = (architectures or {}).get(name)
        encoders[name] = catalog.load("encoders", chosen.encoder)(modality, chosen.encoder_options, architecture)
    widths = {name: encoder.width for name, encoder in encoders.items()}
    return Classifier(encoders, catalog.load("fusion", config.fusion)(widths, classes))
