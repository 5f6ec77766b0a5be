"""Inputs to prove a graph with: generated payloads as preprocessing gives them, and arbitrary arrays."""

from collections.abc import Mapping, Sequence

import numpy as np

from bundle.modalities import Array, Modality, Text

BATCHES = (1, 3, 7)
"""Batch sizes that the graph was not traced with."""


def prepare(modalities: Mapping[str, Modality], sample: Mapping[str, bytes]) -> dict[str, Array]:
    """One sample's payloads, decoded and normalised."""
    return {name: modality.normalise(modality.decode(sample[name])) for name, modality in modalities.items()}


def stack(modalities: Mapping[str, Modality], samples: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Prepared samples as one batch."""
    return {name: modality.stack([sample[name] for sample in samples]) for name, modality in modalities.items()}


def random_feed(modalities: Mapping[str, Modality], batch: int, generator: np.random.Generator) -> dict[str, Array]:
    """Arbitrary values of the right shape and type: not what preprocessing gives, but what a graph must stand."""
    return {name: _random(modality, batch, generator) for name, modality in modalities.items()}


def _random(modality: Modality, batch: int, generator: np.random.Generator) -> Array:
    if isinstance(modality, Text):
        lengths = generator.integers(1, min(modality.max_length, 48), batch, endpoint=True)
        return modality.stack([generator.integers(0, modality.vocabulary, length) for length in lengths])
    shape = [batch]
    for size in modality.shape:
        assert size is not None, f"{modality.name} has an axis that varies: say here what is arbitrary for it"
        shape.append(size)
    if modality.dtype == "uint8":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.standard_normal(shape).astype(np.float32)
