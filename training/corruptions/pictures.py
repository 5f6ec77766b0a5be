"""Corruptions of pictures, `(..., channels, height, width)` uint8: noise, blur and JPEG compression.

The kinds are Hendrycks and Dietterich's (2019), and so are the levels of noise and compression (ImageNet-C). Their blur
is in pixels of pictures of one size; here it is a share of the side, so that it means the same at every size.
"""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from bundle.modalities import Array
from training.corruptions.corruption import Corruption, Subject


def noise(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Gaussian noise of a standard deviation, in parts of the full range, on every pixel and channel."""
    drawn = generator.standard_normal(subject.array.shape, dtype=np.float32)
    return _pixels(subject.array + 255.0 * level * drawn)


def blur(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """A Gaussian blur whose standard deviation is a share of the picture's side."""
    del generator
    width = level * subject.array.shape[-1]
    spread = (0.0,) * (subject.array.ndim - 2) + (width, width)
    return _pixels(gaussian_filter(subject.array.astype(np.float32), spread, mode="nearest"))


def compression(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Written and read as JPEG of a quality, each frame by itself."""
    del generator
    shape = subject.array.shape
    frames = subject.array.reshape(-1, *shape[-3:])
    return np.stack([_recompressed(frame, int(level)) for frame in frames]).reshape(shape)


def _recompressed(frame: Array, quality: int) -> Array:
    buffer = io.BytesIO()
    channels = len(frame)
    Image.fromarray(frame[0] if channels == 1 else frame.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as picture:
        read = np.asarray(picture)
    return read[None] if channels == 1 else read.transpose(2, 0, 1)


def _pixels(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


PICTURES = (
    Corruption("noise", (0.08, 0.12, 0.18, 0.26, 0.38), "standard deviation, of the range 0 to 1", noise),
    Corruption("blur", (0.01, 0.015, 0.02, 0.03, 0.04), "standard deviation, as a share of the side", blur),
    Corruption("JPEG compression", (25, 18, 15, 10, 7), "quality", compression),
)
