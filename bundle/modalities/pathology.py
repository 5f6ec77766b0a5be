"""Pathology: a large RGB tile of a stained slide to uint8 pixels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bundle.errors import InvalidInput
from bundle.modalities import pixels
from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.ranges import check_whole
from bundle.work import limits

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000")
EXPECTED = "a colour (RGB) tile"


@dataclass(frozen=True)
class Pathology(Modality):
    """A tile of stained tissue. Colour carries the stain, so a grey picture is refused, also one stored as RGB.

    The whole tile is brought to `size`; a tile that is not square is cut at its centre. Stain normalisation is not
    applied.
    """

    name: ClassVar[str] = "pathology"
    dtype: ClassVar[str] = "uint8"

    size: int = 224
    """Height and width in pixels."""

    def __post_init__(self) -> None:
        check_whole("size", self.size, 1, pixels.LARGEST)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """`(3, size, size)`."""
        return (3, self.size, self.size)

    def decode(self, payload: Payload) -> Array:
        """A colour tile to `(3, size, size)` uint8."""
        picture = pixels.open_picture(payload, FORMATS, limits().tile_pixels)
        if len(picture.getbands()) < 3 and picture.mode not in ("P", "PA"):
            raise InvalidInput(EXPECTED, f"a picture of mode {picture.mode}")
        picture = pixels.flatten(picture, 3)
        tile = pixels.to_array(pixels.to_square(picture, self.size, "crop"))
        if (tile[0] == tile[1]).all() and (tile[1] == tile[2]).all() and tile.min() < tile.max():
            raise InvalidInput(EXPECTED, "a picture whose three channels are the same")
        return tile

    def example(self, generator: np.random.Generator) -> bytes:
        """A generated PNG tile."""
        side = int(generator.integers(self.size, self.size * 2))
        return pixels.to_png(pixels.smooth_noise(generator, side, side))
