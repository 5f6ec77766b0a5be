"""The Vision Transformer (Dosovitskiy et al. 2021), ViT-B/16 by default, from scratch or pretrained."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import ViTConfig, ViTModel

from bundle.modalities import Modality
from training.encoder import Encoder
from training.encoders._pixels import Pixels
from training.errors import ConfigError
from training.pretrained import load_pretrained


class VisionTransformer(Encoder):
    """Patches of a picture as tokens; the features are the class token's. A video's frames are encoded and averaged."""

    ACCEPTS = ("image", "video", "pathology")

    @dataclass(frozen=True)
    class Options:
        """Which network, and its first weights."""

        pretrained: str | None = None
        """Hub id or folder in the transformers format; it then decides the sizes below."""
        width: int = 768
        """Width of the features."""
        layers: int = 12
        """Transformer layers."""
        heads: int = 12
        """Attention heads."""
        patch: int = 16
        """Height and width of a patch in pixels."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            for name in ("width", "layers", "heads", "patch"):
                if getattr(self, name) < 1:
                    raise ConfigError(f"encoder.{name} must be at least 1, not {getattr(self, name)}")
            if self.width % self.heads:
                raise ConfigError(f"encoder.width must be a multiple of heads, not {self.width} of {self.heads}")

    def __init__(
        self, modality: Modality, options: "VisionTransformer.Options", architecture: dict[str, Any] | None = None
    ) -> None:
        super().__init__(modality, options, architecture)
        channels, size = modality.shape[-3], modality.shape[-1]
        assert channels is not None and size is not None
        self.pixels = Pixels(channels)
        if architecture is not None:
            self.network = ViTModel(ViTConfig(**architecture), add_pooling_layer=False)
        elif options.pretrained is None:
            self.network = ViTModel(_small(channels, size, options), add_pooling_layer=False)
        else:
            self.network = load_pretrained(ViTModel, options.pretrained)
            self.network.pooler = None
        expected = (self.network.config.num_channels, self.network.config.image_size)
        if (channels, size) != expected:
            raise ConfigError(
                f"this network takes pictures of {expected[0]} channels and {expected[1]} pixels, not of {channels} "
                f"and {size}; choose --{modality.name}.size {expected[1]}"
            )
        if size < self.network.config.patch_size:
            raise ConfigError(
                f"encoder.patch must be at most the picture's {size} pixels, not {self.network.config.patch_size}"
            )
        self.width = int(self.network.config.hidden_size)

    def architecture(self) -> dict[str, Any] | None:
        """The configuration of a pretrained network."""
        return None if self.options.pretrained is None else dict(self.network.config.to_dict())

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, [frames,] channels, height, width)` to `(batch, width)`."""
        values = self.pixels(values)
        if values.dim() == 5:
            frames = self._encode(values.flatten(0, 1))
            return frames.reshape(-1, values.shape[1], self.width).mean(dim=1)
        return self._encode(values)

    def _encode(self, pictures: Tensor) -> Tensor:
        hidden: Tensor = self.network(pixel_values=pictures).last_hidden_state
        return hidden[:, 0]


def _small(channels: int, size: int, options: "VisionTransformer.Options") -> ViTConfig:
    return ViTConfig(
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        intermediate_size=4 * options.width,
        image_size=size,
        patch_size=options.patch,
        num_channels=channels,
    )
