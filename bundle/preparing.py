"""What comes before the graph, without a runtime: raw samples to arrays, and arrays to one batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.answer import PRESENT
from bundle.errors import InvalidInput
from bundle.manifest import Manifest
from bundle.modalities import Array, Payload
from bundle.work import Work

Arrays = dict[str, Array]
"""One sample ready for the graph, by input name; a modality that it lacks has no entry."""


class Preparation:
    """The preprocessing of one bundle. Safe to call from several threads.

    Args:
        folder: the bundle.

    Raises:
        ManifestError: the bundle must not be used.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest = Manifest.read(folder)
        self.modalities = self.manifest.load_modalities(folder)

    def prepare(self, sample: Mapping[str, Payload], work: Work | None = None) -> Arrays:
        """Decode and normalise one sample: payloads of one or more inputs; `work` sets the limits and may end it early.

        Raises:
            InvalidInput: no or an unknown input, or a payload that cannot be used; names the field.
            WorkCancelled: the work was cancelled.
        """
        if work is not None:
            with work.active():
                work.check()
                return self.prepare(sample)
        for name in sample:
            if name not in self.modalities:
                raise InvalidInput(f"only {', '.join(self.modalities)}", "an unknown input", field=name)
        if not sample:
            raise InvalidInput(f"one or more of {', '.join(self.modalities)}", "nothing")
        return {name: self.prepare_one(name, sample[name]) for name in self.modalities if name in sample}

    def prepare_one(self, name: str, payload: Payload) -> Array:
        """Decode and normalise the payload of one input of the bundle.

        Raises:
            InvalidInput: one that cannot be used; names the field.
        """
        modality = self.modalities[name]
        try:
            return modality.normalise(modality.decode(payload))
        except InvalidInput as error:
            error.__context__ = error.__traceback__ = None  # these hold the decoders' frames, and so half a picture
            raise error.at(name) from None

    def feed(self, batch: Sequence[Arrays]) -> Arrays:
        """The graph's inputs by name, for prepared samples: `(batch, …)` of each modality, and what is present."""
        joined = {
            name: modality.stack([arrays[name] if name in arrays else modality.blank() for arrays in batch])
            for name, modality in self.modalities.items()
        }
        joined[PRESENT] = self.present(batch)
        return joined

    def present(self, batch: Sequence[Arrays]) -> NDArray[np.bool_]:
        """`(batch, M)`: which modalities each prepared sample has."""
        return np.array([[name in arrays for name in self.modalities] for arrays in batch], np.bool_)
