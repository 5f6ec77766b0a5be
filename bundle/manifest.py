"""manifest.json: the page that says what a bundle is, written last and read first."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from bundle.errors import ManifestError
from bundle.modalities import MODALITIES, Modality

SCHEMA_VERSION = 1
FILE = "manifest.json"
GRAPH = "model.onnx"
GOLDEN = "golden.npz"
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Input:
    """One input of the graph."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    """The graph's input, and the field of a request."""
    modality: str
    """A key of `bundle.modalities.MODALITIES`."""
    parameters: dict[str, Any]
    """What its preprocessing needs."""
    shape: tuple[int | None, ...]
    """Shape of one sample, without the batch axis; null for an axis that varies."""
    dtype: str
    """numpy name of the element type."""


@dataclass(frozen=True)
class Calibration:
    """Temperatures that divide the logits before the softmax; 1 leaves them as they are."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    fused: float = 1.0
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tolerance:
    """How far a replay of the golden samples may be off."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    arrays: float = 1e-4
    """Largest absolute difference of a decoded or normalised float array; integer arrays must be equal."""
    probabilities: float = 1e-4
    """Largest absolute difference of a class probability."""


@dataclass(frozen=True)
class Manifest:
    """Everything serving needs to know; every field is checked on reading."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    labels: tuple[str, ...]
    inputs: tuple[Input, ...]
    files: dict[str, str]
    """sha256 of every other file of the bundle, by its path inside the folder."""
    provenance: dict[str, Any]
    """Dataset, method, configuration, seed, versions and measured metrics: facts for people, unused by serving."""
    calibration: Calibration = field(default_factory=Calibration)
    tolerance: Tolerance = field(default_factory=Tolerance)
    engines: tuple[dict[str, Any], ...] = ()
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(entry.name for entry in self.inputs)

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read and check `folder`/manifest.json and the hash of every file it lists.

        Raises:
            ManifestError: the folder must not be used; the message says why.
        """
        path = folder / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ManifestError(f"{folder} is not a bundle: it has no {FILE}") from None
        except (OSError, ValueError) as error:
            raise ManifestError(f"{path} cannot be read: {error}") from None
        if not isinstance(content, Mapping):
            raise ManifestError(f"{path}: expected a JSON object, found {type(content).__name__}")
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ManifestError(f"{path}: schema version {version!r}, this program reads {SCHEMA_VERSION}")
        try:
            manifest = TypeAdapter(cls).validate_python(content)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise ManifestError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        manifest._check(folder)
        return manifest

    def _check(self, folder: Path) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ManifestError(f"expected two or more distinct labels, found {list(self.labels)}")
        if not self.inputs or len(set(self.modalities)) != len(self.inputs):
            raise ManifestError(f"expected distinct inputs, found {list(self.modalities)}")
        for entry in self.inputs:
            if entry.modality not in MODALITIES:
                raise ManifestError(f"unknown modality {entry.modality!r}; known are {', '.join(MODALITIES)}")
        temperatures = (self.calibration.fused, *self.calibration.shares.values())
        if not all(0 < temperature < float("inf") for temperature in temperatures):
            raise ManifestError(f"temperatures must be positive, found {temperatures}")
        for required in (GRAPH, GOLDEN):
            if required not in self.files:
                raise ManifestError(f"the manifest lists no {required}")
        for name, expected in self.files.items():
            check_file(folder, name, expected)

    def load_modalities(self, folder: Path) -> dict[str, Modality]:
        """The preprocessing of each input, by input name.

        Raises:
            ManifestError: parameters that do not fit, or that give another shape than stated.
        """
        loaded = {}
        for entry in self.inputs:
            modality = MODALITIES[entry.modality].restore(entry.parameters, folder)
            if (modality.shape, modality.dtype) != (entry.shape, entry.dtype):
                raise ManifestError(
                    f"input {entry.name!r} states {entry.dtype} {entry.shape}, "
                    f"its parameters give {modality.dtype} {modality.shape}"
                )
            loaded[entry.name] = modality
        return loaded


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(folder: Path, name: str, expected: str) -> None:
    """Refuse a file that is absent, altered, or outside the bundle."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise ManifestError(f"{name!r} lies outside the bundle")
    try:
        found = sha256(folder / path)
    except OSError as error:
        raise ManifestError(f"the bundle's file {name!r} cannot be read: {error}") from None
    if found != expected:
        raise ManifestError(f"{name!r} was changed: expected sha256 {expected[:12]}…, found {found[:12]}…")
