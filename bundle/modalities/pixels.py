"""Pictures to uint8 arrays: the part that image, pathology and video share."""

import io
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia
from bundle.modalities.modality import Array, Payload
from bundle.work import checkpoint

Fit = Literal["crop", "pad", "squash"]
"""How a picture becomes a square: cut its centre, pad it with white, or change its proportions."""

FITS: tuple[Fit, ...] = get_args(Fit)
Channels = Literal[1, 3]
LARGEST = 4_096
"""Pixels of a side that a model may take."""

MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51")
"""First bytes of formats we read: what starts so and cannot be opened is broken, not foreign."""
STRIP = 256
"""Rows that are scaled at once."""
ORIENTATION = 0x0112
"""EXIF tag."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


class _Watched(io.BytesIO):
    """A file's bytes that a decoder reads piece by piece, with a checkpoint at each piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        checkpoint()
        return super().read(size)


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
        picture = Image.open(_Watched(payload), formats=formats)
    except UnidentifiedImageError:
        checkpoint()
        if payload.startswith(MAGIC) or (payload.startswith(b"RIFF") and payload[8:12] == b"WEBP"):
            raise InvalidInput(expected, "a truncated or corrupt file") from None
        raise UnsupportedMedia(expected, f"{len(payload)} bytes of another format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge(f"at most {max_pixels:,} pixels", "a picture of more than that") from None
    except Exception as error:  # decoders raise many types on corrupt data
        checkpoint()  # what it raised inside of a decoder may have been replaced
        raise InvalidInput(expected, f"a corrupt file ({error})") from None
    if picture.width * picture.height > max_pixels:
        raise TooLarge(f"at most {max_pixels:,} pixels", f"{picture.width}x{picture.height} pixels")
    try:
        picture.load()
    except Exception as error:  # the same
        checkpoint()
        raise InvalidInput(expected, f"a truncated or corrupt {picture.format} file ({error})") from None
    checkpoint()
    turn = UPRIGHT.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation; 1, upright, where the EXIF block cannot be read: the pixels are none the worse."""
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # the same many types
        return 1


def flatten(picture: Image.Image, channels: Channels) -> Image.Image:
    """Bring any colour mode to RGB or 8-bit grey; what is transparent becomes white.

    16-bit and 32-bit whole numbers are scaled by 65,535, floats by the largest of the picture.

    Raises:
        InvalidInput: pixels that are not finite, or of a colour mode that cannot be converted.
    """
    if picture.mode.startswith(("I", "F")):
        picture = _to_bytes(picture)
    mode = "RGB" if channels == 3 else "L"
    checkpoint()
    try:
        if picture.has_transparency_data:
            picture = _as(picture, "RGBA")  # each step lets go of the picture before it: they are large
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            checkpoint()
        return _as(picture, mode)
    except (ValueError, OSError, KeyError) as error:
        raise InvalidInput("a colour or grey picture", f"a picture of mode {picture.mode} ({error})") from None


def _as(picture: Image.Image, mode: str) -> Image.Image:
    """The picture in this mode; itself, not a copy, where it is in it already."""
    return picture if picture.mode == mode else picture.convert(mode)


def _to_bytes(picture: Image.Image) -> Image.Image:
    """A picture of more than 8 bits to mode `L`, strip by strip: as float64 it is eight times as large."""
    values = np.asarray(picture)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidInput("finite pixel values", "NaN or infinite pixels")
    top = 65535.0 if picture.mode.startswith("I") else max(float(values.max(initial=0.0)), 1e-12)
    grey = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), STRIP):
        checkpoint()
        strip = values[start : start + STRIP].astype(np.float64)
        grey[start : start + STRIP] = np.clip(strip / top * 255.0, 0, 255).round()
    return Image.fromarray(grey)


def to_square(picture: Image.Image, size: int, fit: Fit) -> Image.Image:
    """Resize to `size` x `size` pixels with antialiasing."""
    checkpoint()
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
