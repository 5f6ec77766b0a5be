"""Pictures to uint8 arrays: the part that image, pathology and video share."""

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia
from bundle.modalities.modality import Array, Payload

Fit = Literal["crop", "pad", "squash"]
"""How a picture becomes a square: cut its centre, pad it with white, or change its proportions."""

Channels = Literal[1, 3]


def open_picture(payload: Payload, formats: tuple[str, ...], max_pixels: int) -> Image.Image:
    """Decode the first frame of a picture file, upright, fully read.

    Raises:
        UnsupportedMedia: not one of `formats`.
        TooLarge: more than `max_pixels`.
        InvalidInput: empty, truncated or corrupt.
    """
    expected = f"a picture file ({', '.join(formats)})"
    if not isinstance(payload, bytes):
        raise InvalidInput(expected, f"{type(payload).__name__} instead of a file's bytes")
    if not payload:
        raise InvalidInput(expected, "an empty file")
    try:
        picture = Image.open(io.BytesIO(payload), formats=formats)
    except UnidentifiedImageError:
        raise UnsupportedMedia(expected, f"{len(payload)} bytes of another format") from None
    except Image.DecompressionBombError:
        raise TooLarge(f"at most {max_pixels:,} pixels", "a picture of many times that") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(expected, f"a corrupt file ({error})") from None
    if picture.width * picture.height > max_pixels:
        raise TooLarge(f"at most {max_pixels:,} pixels", f"{picture.width}x{picture.height} pixels")
    try:
        picture.load()
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # decoders raise many types on corrupt data
        raise InvalidInput(expected, f"a truncated or corrupt {picture.format} file ({error})") from None


def flatten(picture: Image.Image, channels: Channels) -> Image.Image:
    """Bring any colour mode to RGB or 8-bit grey; what is transparent becomes white."""
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if picture.mode.startswith("I") else max(float(values.max(initial=0.0)), 1e-12)
        picture = Image.fromarray(np.clip(values / top * 255.0, 0, 255).round().astype(np.uint8), mode="L")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("RGB" if channels == 3 else "L")


def to_square(picture: Image.Image, size: int, fit: Fit) -> Image.Image:
    """Resize to `size` x `size` pixels with antialiasing."""
    target = (size, size)
    if picture.size == target:
        return picture
    if fit == "squash":
        return picture.resize(target, Image.Resampling.BILINEAR)
    if fit == "crop":
        return ImageOps.fit(picture, target, Image.Resampling.BILINEAR)
    return ImageOps.pad(picture, target, Image.Resampling.BILINEAR, color="white")


def to_array(picture: Image.Image) -> Array:
    """`(channels, height, width)` uint8."""
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def smooth_noise(generator: np.random.Generator, height: int, width: int) -> Image.Image:
    """A generated RGB picture with structure at several scales."""
    coarse = generator.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = generator.integers(-24, 25, (height, width, 3))
    return Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))


def to_png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
