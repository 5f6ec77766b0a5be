"""What every modality offers: decode a payload, normalise an array, and describe both to a manifest."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from bundle.checking import build

Array = NDArray[Any]
Payload = bytes | str | Mapping[str, float | None] | Sequence[float | None]


@dataclass(frozen=True)
class Modality(ABC):
    """The fixed parameters of one modality's preprocessing and its two halves.

    Parameters that make no sense raise `ValueError` at construction.

    Training runs `normalise(augment(decode(payload)))`, evaluation and serving `normalise(decode(payload))`, with
    these very functions. Both halves are pure and safe to call from several threads.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str]
    dtype: ClassVar[str]
    """Type of the array the graph takes."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int | None, ...]:
        """Shape of one normalised sample, without the batch axis; `None` for an axis that varies."""

    @abstractmethod
    def decode(self, payload: Payload) -> Array:
        """Turn a raw payload into an array that augmentation may change.

        Raises:
            InvalidInput: the payload is corrupt, empty, of another format, or over a limit.
        """

    def normalise(self, array: Array) -> Array:
        """Turn a decoded array into what the graph takes, of `dtype` and `shape`."""
        return array

    @abstractmethod
    def example(self, generator: np.random.Generator) -> bytes:
        """A generated payload (never a dataset sample) for golden checks and documentation."""

    def blank(self) -> Array:
        """What the graph gets where a sample lacks this modality: any array of the right type and shape."""
        return np.zeros([1 if size is None else size for size in self.shape], self.dtype)

    def stack(self, arrays: Sequence[Array]) -> Array:
        """Join normalised samples into one batch `(batch, *shape)`."""
        return np.stack(arrays)

    def parameters(self) -> dict[str, Any]:
        """The parameters as JSON values, enough for `restore` together with `files`."""
        return asdict(self)

    def files(self) -> dict[str, bytes]:
        """Further files this modality needs beside the manifest, by file name."""
        return {}

    @classmethod
    def restore(cls, parameters: Mapping[str, Any], folder: Path) -> Self:
        """Read back what `parameters` wrote, with `files` found in `folder`.

        Raises:
            ManifestError: a parameter is missing, unknown, of another type or out of range.
        """
        del folder
        return cls.checked(parameters)

    @classmethod
    def checked(cls, parameters: Mapping[str, Any]) -> Self:
        """Build from JSON values, refusing missing, unknown, mistyped and senseless fields.

        Raises:
            ManifestError: naming the first field that is wrong.
        """
        return build(cls, parameters, f"parameters of {cls.name}")
