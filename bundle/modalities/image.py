"""Images: a picture file to uint8 pixels; scaling and standardising happen inside the graph."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bundle.modalities import pixels
from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.ranges import check_choice, check_whole
from bundle.work import limits

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True)
class Image(Modality):
    """A still picture. EXIF orientation is applied, transparency becomes white, any colour mode is read."""

    name: ClassVar[str] = "image"
    dtype: ClassVar[str] = "uint8"

    size: int = 224
    """Height and width in pixels."""
    fit: pixels.Fit = "crop"
    """How a picture that is not square becomes one."""
    channels: pixels.Channels = 3
    """3 for colour, 1 for grey."""

    def __post_init__(self) -> None:
        check_whole("size", self.size, 1, pixels.LARGEST)
        check_choice("fit", self.fit, pixels.FITS)
        check_choice("channels", self.channels, (1, 3))

    @property
    def shape(self) -> tuple[int | None, ...]:
        """`(channels, size, size)`."""
        return (self.channels, self.size, self.size)

    def decode(self, payload: Payload) -> Array:
        """A picture file to `(channels, size, size)` uint8."""
        picture = pixels.flatten(pixels.open_picture(payload, FORMATS, limits().pixels), self.channels)
        return pixels.to_array(pixels.to_square(picture, self.size, self.fit))

    def example(self, generator: np.random.Generator) -> bytes:
        """A generated PNG that is not square."""
        height, width = generator.integers(self.size // 2 + 8, self.size * 2, 2)
        return pixels.to_png(pixels.smooth_noise(generator, int(height), int(width)))
