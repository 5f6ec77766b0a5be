"""manifest.json: the page that says what a bundle is, written last and read first."""

import hashlib
import json
import math
import os
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from bundle import coalitions
from bundle.checking import build, parse
from bundle.errors import ManifestError
from bundle.execution import Precision
from bundle.files import check_file, check_names, read
from bundle.modalities import MODALITIES, Modality
from bundle.plan import Plan, check_plans

SCHEMA_VERSION = 2
FILE = "manifest.json"
GRAPH = "model.onnx"
GOLDEN = "golden.npz"
LARGEST = 1 << 26
"""Bytes of manifest.json: a hundred times those of twenty thousand named columns."""
LARGEST_SAMPLE = 1 << 28
"""Elements of one input of one sample."""
EXTREME = 1e9
"""Largest temperature or distance, and one over the smallest: no quotient by one overflows."""
STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
INPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = ("model", "require_all", "abstain_below", "logits", "coalitions", "present")
"""Names an input must not have: the request's other fields, the graph's other outputs and its other input."""


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
    """Of the logits where every modality is there."""
    shares: dict[str, float] = field(default_factory=dict)
    """Of each modality's share, by its name."""
    coalitions: dict[str, float] = field(default_factory=dict)
    """Of the logits where only some modalities are there, by their names: `audio`, or `audio+text`."""

    def of_coalitions(self, modalities: tuple[str, ...]) -> list[float]:
        """The temperature of each coalition, in the order of `bundle.coalitions`."""
        *partial, _ = coalitions.names(modalities)
        return [*(self.coalitions.get(name, 1.0) for name in partial), self.fused]


@dataclass(frozen=True)
class Expectation:
    """What was measured on the test split with some modalities only."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    accuracy: float
    """Share of samples whose most probable class is right, 0..1."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    samples: int
    """How many samples it was measured on."""


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
    expectations: dict[str, Expectation] = field(default_factory=dict)
    """The accuracy to expect with some modalities only, by their names as in `Calibration.coalitions`, and with all."""
    shifts: dict[str, float] = field(default_factory=dict)
    """For each modality, the distance from the training data beyond which an input is called unusual."""
    abstain_below: float | None = None
    """Answers whose predicted class is less probable than this abstain, where a request does not say otherwise."""
    precision: Precision = "fp32"
    """What the graph's towers compute in."""
    engines: tuple[Plan, ...] = ()
    """TensorRT engines in the folder `engines`."""
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
        if not os.path.lexists(path) and (folder.is_dir() or not folder.exists()):
            raise ManifestError(f"{folder} is not a bundle: expected {FILE} in it, found none")
        content = parse(read(folder, FILE, LARGEST), str(path))
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
        if len(self.inputs) > coalitions.MOST:
            raise ManifestError(f"expected at most {coalitions.MOST} inputs, found {len(self.inputs):,}")
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
        check_plans(self.engines, self.files, (*self.modalities, "present"))
        for name, expected in self.files.items():
            check_file(folder, name, expected)

    def _check_numbers(self) -> None:
        together = coalitions.names(self.modalities)
        for what, found, possible in (
            ("calibration.shares", self.calibration.shares, self.modalities),
            ("calibration.coalitions", self.calibration.coalitions, together[:-1]),
            ("expectations", self.expectations, together),
            ("shifts", self.shifts, self.modalities),
        ):
            unknown = sorted(set(found) - set(possible))
            if unknown:
                raise ManifestError(
                    f"{what}: expected names among {', '.join(filter(None, possible))}, found {unknown}"
                )
        calibration = self.calibration
        for what, numbers in (
            (
                "calibration: expected temperatures",
                [calibration.fused, *calibration.shares.values(), *calibration.coalitions.values()],
            ),
            ("shifts: expected distances", list(self.shifts.values())),
        ):
            if not all(1 / EXTREME <= number <= EXTREME for number in numbers):
                raise ManifestError(f"{what} from {1 / EXTREME:g} to {EXTREME:g}, found {tuple(numbers)}")
        for name, entry in self.expectations.items():
            if not 0 <= entry.low <= entry.accuracy <= entry.high <= 1 or entry.samples < 1:
                raise ManifestError(
                    f"expectations: expected an accuracy within its interval, found {entry} for {name!r}"
                )
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise ManifestError(f"abstain_below: expected a probability, found {self.abstain_below}")
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
