"""A small convolutional network, for small inputs and quick runs."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from bundle.modalities import Modality
from training.encoder import Encoder
from training.encoders._pixels import Pixels
from training.errors import ConfigError


class Convolutional(Encoder):
    """Blocks of 3x3 convolution, batch normalisation and ReLU, each halving the resolution, then a global average."""

    ACCEPTS = ("audio", "video", "image", "pathology")

    @dataclass(frozen=True)
    class Options:
        """Size of the network."""

        width: int = 128
        """Channels of the last block, and width of the features; each block before has half."""
        blocks: int = 4
        """How many blocks."""
        frames: Literal["average", "stack"] = "average"
        """Video: encode each frame and average the features, or stack the frames as channels, which sees motion."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 1 <= self.blocks <= 12:
                raise ConfigError(f"encoder.blocks must be from 1 to 12, not {self.blocks}")
            if self.width < 2 ** (self.blocks - 1):
                raise ConfigError(
                    f"encoder.width must be at least 2^(blocks - 1), {2 ** (self.blocks - 1)}, not {self.width}"
                )

    def __init__(
        self, modality: Modality, options: "Convolutional.Options", architecture: dict[str, Any] | None = None
    ) -> None:
        super().__init__(modality, options, architecture)
        self.width = options.width
        frames = modality.shape[0] if len(modality.shape) == 4 else 1
        channels = modality.shape[-3]
        assert frames is not None and channels is not None
        self.pixels = Pixels(channels)
        self.stacked = options.frames == "stack" and len(modality.shape) == 4
        sizes = [options.width // 2 ** (options.blocks - 1 - block) for block in range(options.blocks)]
        entering = [channels * frames if self.stacked else channels, *sizes]
        self.blocks = nn.Sequential(*(_block(before, size) for before, size in zip(entering, sizes, strict=False)))

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, [frames,] channels, height, width)` to `(batch, width)`."""
        values = self.pixels(values)
        if self.stacked:
            return self._encode(values.flatten(1, 2))
        if values.dim() == 5:
            frames = self._encode(values.flatten(0, 1))
            return frames.reshape(-1, values.shape[1], self.width).mean(dim=1)
        return self._encode(values)

    def _encode(self, pictures: Tensor) -> Tensor:
        encoded: Tensor = self.blocks(pictures)
        return encoded.mean(dim=(2, 3))


def _block(before: int, after: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())
