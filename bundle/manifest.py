"""manifest.json: the page that says what a bundle is, written last and read first."""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from bundle.checking import build, one_line
from bundle.errors import ManifestError
from bundle.files import check_file, check_names, read
from bundle.modalities import MODALITIES, Modality

SCHEMA_VERSION = 1
FILE = "manifest.json"
GRAPH = "model.onnx"
GOLDEN = "golden.npz"
LARGEST = 1 << 26
"""Bytes of manifest.json: a hundred times those of twenty thousand named columns."""
LARGEST_SAMPLE = 1 << 28
"""Elements of one input of one sample."""
STRICT = ConfigDict(extra="forbid")
INPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = ("model", "logits")
"""Names an input must not have: the request's other field and the graph's other output."""


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
            content = json.loads(_text(folder), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{path}: expected JSON, found what cannot be read ({one_line(error)})") from None
        if not isinstance(content, Mapping):
            raise ManifestError(f"{path}: expected a JSON object, found {type(content).__name__}")
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ManifestError(f"{path}: expected schema version {SCHEMA_VERSION}, found {version!r}")
        manifest = build(cls, content, str(path))
        manifest._check(folder)
        return manifest

    def _check(self, folder: Path) -> None:
        if not self.name.strip():
            raise ManifestError("name: expected one, found an empty text")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ManifestError(f"expected two or more distinct labels, found {list(self.labels)}")
        if not self.inputs or len(set(self.modalities)) != len(self.inputs):
            raise ManifestError(f"expected distinct inputs, found {list(self.modalities)}")
        for entry in self.inputs:
            if INPUT_NAME.fullmatch(entry.name) is None or entry.name in RESERVED:
                raise ManifestError(
                    f"expected an input name of letters, digits and _, other than {' and '.join(RESERVED)}, "
                    f"found {entry.name!r}"
                )
            if entry.modality not in MODALITIES:
                raise ManifestError(f"expected a modality among {', '.join(MODALITIES)}, found {entry.modality!r}")
        self._check_numbers()
        for required in (GRAPH, GOLDEN):
            if required not in self.files:
                raise ManifestError(f"files: expected {required} among them, found {', '.join(self.files) or 'none'}")
        check_names(iter(self.files))
        for name, expected in self.files.items():
            check_file(folder, name, expected)

    def _check_numbers(self) -> None:
        unknown = sorted(set(self.calibration.shares) - set(self.modalities))
        if unknown:
            raise ManifestError(f"calibration: expected shares of {', '.join(self.modalities)}, found {unknown}")
        temperatures = (self.calibration.fused, *self.calibration.shares.values())
        if not all(0 < temperature < math.inf for temperature in temperatures):
            raise ManifestError(f"calibration: expected temperatures over 0, found {temperatures}")
        for name, value in asdict(self.tolerance).items():
            if not 0 <= value < 1:
                raise ManifestError(f"tolerance.{name}: expected a number from 0 to under 1, found {value}")

    def load_modalities(self, folder: Path) -> dict[str, Modality]:
        """The preprocessing of each input, by input name.

        Raises:
            ManifestError: parameters that do not fit, that give another shape than stated, or that need a file the
                manifest does not list.
        """
        loaded = {}
        for entry in self.inputs:
            modality = MODALITIES[entry.modality].restore(entry.parameters, folder)
            missing = sorted(set(modality.files()) - set(self.files))
            if missing:
                raise ManifestError(f"files: expected {missing[0]} for input {entry.name!r} among them, found none")
            if (modality.shape, modality.dtype) != (entry.shape, entry.dtype):
                raise ManifestError(
                    f"input {entry.name!r}: expected {modality.dtype} {modality.shape} from its parameters, "
                    f"found {entry.dtype} {entry.shape}"
                )
            if math.prod(size or 1 for size in entry.shape) > LARGEST_SAMPLE:
                raise ManifestError(
                    f"input {entry.name!r}: expected at most {LARGEST_SAMPLE:,} elements, found shape {entry.shape}"
                )
            loaded[entry.name] = modality
        return loaded


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(folder: Path) -> str:
    if not os.path.lexists(folder / FILE) and (folder.is_dir() or not folder.exists()):
        raise ManifestError(f"{folder} is not a bundle: expected {FILE} in it, found none")
    return read(folder, FILE, LARGEST).decode("utf-8")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
