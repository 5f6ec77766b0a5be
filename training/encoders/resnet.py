"""ResNet-18 and ResNet-50, from scratch or pretrained."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from bundle.modalities import Modality
from training.encoder import Encoder
from training.encoders._pixels import Pixels
from training.pretrained import load_pretrained

DEPTHS: dict[int, dict[str, Any]] = {
    18: {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    50: {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
}


class ResNet(Encoder):
    """A residual network over pictures or spectrograms; a video's frames are encoded one by one and averaged."""

    ACCEPTS = ("audio", "video", "image", "pathology")

    @dataclass(frozen=True)
    class Options:
        """Which network, and its first weights."""

        depth: Literal[18, 50] = 18
        """Layers, when starting from random weights."""
        pretrained: str | None = None
        """Hub id or folder in the transformers format; it then decides the depth. One-channel input takes the sum of
        the first layer's weights over colours."""

    def __init__(
        self, modality: Modality, options: "ResNet.Options", architecture: dict[str, Any] | None = None
    ) -> None:
        super().__init__(modality, options)
        channels = modality.shape[-3]
        assert channels is not None
        self.pixels = Pixels(channels)
        if architecture is not None:
            self.network = ResNetModel(ResNetConfig(**architecture))
        elif options.pretrained is None:
            self.network = ResNetModel(ResNetConfig(num_channels=channels, **DEPTHS[options.depth]))
        else:
            self.network = load_pretrained(ResNetModel, options.pretrained)
            if channels == 1:
                self._take_one_channel()
        self.width = int(self.network.config.hidden_sizes[-1])

    def _take_one_channel(self) -> None:
        embedder = self.network.embedder
        old = embedder.embedder.convolution
        new = nn.Conv2d(1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)
        with torch.no_grad():
            new.weight.copy_(old.weight.sum(dim=1, keepdim=True))
        embedder.embedder.convolution = new
        embedder.num_channels = self.network.config.num_channels = 1

    def architecture(self) -> dict[str, Any] | None:
        """The configuration of a pretrained network."""
        return None if self.options.pretrained is None else _plain(self.network.config)

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, [frames,] channels, height, width)` to `(batch, width)`."""
        values = self.pixels(values)
        if values.dim() == 5:
            frames = self._encode(values.flatten(0, 1))
            return frames.reshape(-1, values.shape[1], self.width).mean(dim=1)
        return self._encode(values)

    def _encode(self, pictures: Tensor) -> Tensor:
        pooled: Tensor = self.network(pictures).pooler_output
        return pooled.flatten(1)


def _plain(config: ResNetConfig) -> dict[str, Any]:
    names = ("num_channels", "embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act")
    extra = ("downsample_in_first_stage", "downsample_in_bottleneck")
    return {name: getattr(config, name) for name in (*names, *extra)}
