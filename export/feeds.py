"""Inputs to prove a graph with: generated payloads as preprocessing gives them, and arbitrary arrays."""

from collections.abc import Mapping, Sequence

import numpy as np

from bundle.answer import PRESENT
from bundle.modalities import Array, Modality, Text

BATCHES = (1, 3, 7)
"""Batch sizes that the graph was not traced with."""
Feed = dict[str, Array]
"""A batch of inputs by name, `present` among them."""


def prepare(modalities: Mapping[str, Modality], sample: Mapping[str, bytes]) -> dict[str, Array]:
    """One sample's payloads, decoded and normalised; it may lack modalities."""
    return {name: modalities[name].normalise(modalities[name].decode(payload)) for name, payload in sample.items()}


def stack(modalities: Mapping[str, Modality], samples: Sequence[Mapping[str, Array]]) -> Feed:
    """Prepared samples as one batch, a blank in the place of what a sample lacks."""
    feed = {
        name: modality.stack([sample[name] if name in sample else modality.blank() for sample in samples])
        for name, modality in modalities.items()
    }
    return {**feed, PRESENT: np.array([[name in sample for name in modalities] for sample in samples], np.bool_)}


def random_feed(modalities: Mapping[str, Modality], batch: int, generator: np.random.Generator) -> Feed:
    """Arbitrary values of the right shape and type: not what preprocessing gives, but what a graph must stand.

    Each modality of each sample is there with probability one half; some samples may have none.
    """
    feed = {name: _random(modality, batch, generator) for name, modality in modalities.items()}
    return {**feed, PRESENT: generator.random((batch, len(modalities))) < 0.5}


def masked(feed: Feed, present: Array) -> Feed:
    """The same values with another `present`: `(batch, M)`, or `(M,)` for every sample."""
    return {**feed, PRESENT: np.array(np.broadcast_to(present, feed[PRESENT].shape), np.bool_)}


def overwritten(modalities: Mapping[str, Modality], feed: Feed, number: int) -> Feed:
    """The same batch with the worst there is in the place of whatever stands for absent modalities.

    For floating-point inputs that is NaN and infinity, for pixels their other end, for text another word.

    Args:
        modalities: in the order of `present`.
        feed: the batch.
        number: of the extreme, 0, 1 or 2.
    """
    found = dict(feed)
    for position, (name, modality) in enumerate(modalities.items()):
        absent = ~feed[PRESENT][:, position]
        values = feed[name].copy()
        if isinstance(modality, Text):
            values[absent] = (values[absent] + number + 1) % modality.vocabulary
        elif values.dtype.kind == "f":
            values[absent] = (np.nan, np.inf, np.finfo(values.dtype).min)[number]
        else:
            values[absent] = (0, 255, 255 - values[absent])[number]
        found[name] = values
    return found


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
