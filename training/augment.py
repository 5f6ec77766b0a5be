"""Random changes to decoded training samples: between decode and normalise, never at evaluation or serving."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from bundle.modalities import Array
from training.config import AugmentOptions

Generator = np.random.Generator
Augmentation = Callable[[Array, AugmentOptions, Generator], Array]


def augment(modality: str, array: Array, options: AugmentOptions, generator: Generator) -> Array:
    """Change one decoded sample; shape and type stay as they are, but a text may lose tokens."""
    change = AUGMENTATIONS.get(modality)
    return array if change is None or not options.enabled else change(array, options, generator)


def _audio(wave: Array, options: AugmentOptions, generator: Generator) -> Array:
    reach = int(options.shift * len(wave))
    step = int(generator.integers(-reach, reach + 1))
    shifted = np.zeros_like(wave)
    if step >= 0:
        shifted[step:] = wave[: len(wave) - step]
    else:
        shifted[:step] = wave[-step:]
    loudness = 10.0 ** (generator.uniform(-options.gain, options.gain) / 20.0)
    level = generator.uniform(0.0, options.noise) * np.sqrt(np.mean(np.square(wave)))
    noise = generator.standard_normal(len(wave), dtype=np.float32) * level
    noisy = np.where(shifted == 0.0, 0.0, shifted + noise)  # padding stays as silent as it is at serving
    return np.asarray(noisy * loudness, dtype=np.float32)


def _pictures(frames: Array, options: AugmentOptions, generator: Generator) -> Array:
    """The same crop and mirror for every frame; `(..., channels, height, width)` uint8."""
    shape = frames.shape
    flat = frames.reshape(-1, *shape[-2:])
    if options.crop < 1.0:
        side = float(np.sqrt(generator.uniform(options.crop, 1.0)))
        left, top = generator.uniform(0, 1 - side, 2) * (shape[-1], shape[-2])
        box = (left, top, min(left + side * shape[-1], shape[-1]), min(top + side * shape[-2], shape[-2]))
        size = (shape[-1], shape[-2])
        planes = [Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR, box) for plane in flat]
        flat = np.stack([np.asarray(plane) for plane in planes])
    if options.flip and generator.random() < 0.5:
        flat = flat[..., ::-1]
    return np.ascontiguousarray(flat).reshape(shape)


def _tile(tile: Array, options: AugmentOptions, generator: Generator) -> Array:
    """Tissue has no upright: quarter turns and mirroring beside the crop."""
    cropped = _pictures(tile, options, generator)
    turned = np.rot90(cropped, int(generator.integers(4)), axes=(-2, -1))
    return np.ascontiguousarray(turned if generator.random() < 0.5 else turned[..., ::-1])


def _text(ids: Array, options: AugmentOptions, generator: Generator) -> Array:
    """Leave tokens out, but never the first and the last, which are usually special."""
    keep = generator.random(len(ids)) >= options.token_dropout
    keep[[0, -1]] = True
    return np.asarray(ids[keep])


def _genes(vector: Array, options: AugmentOptions, generator: Generator) -> Array:
    gone = generator.random(len(vector)) < options.gene_dropout
    return np.asarray(np.where(gone, np.float32("nan"), vector))


AUGMENTATIONS: dict[str, Augmentation] = {
    "audio": _audio,
    "video": _pictures,
    "image": _pictures,
    "pathology": _tile,
    "text": _text,
    "genomics": _genes,
}
