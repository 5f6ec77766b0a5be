"""What a manifest says of a TensorRT engine in its bundle: where it runs, what it takes, how it was proved."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from bundle.errors import ManifestError
from bundle.execution import Precision

FOLDER = "engines/"
"""Of the bundle: files ending in `.plan` are engines, and those in eight bits are made of `int8.onnx`."""
END = ".plan"
STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
DIGEST = re.compile(r"[0-9a-f]{64}")
CAPABILITY = re.compile(r"[0-9]+\.[0-9]")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Range:
    """The shapes that an engine takes of one input, the batch axis first."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    least: Shape
    """The smallest."""
    usual: Shape
    """What it is fastest for."""
    most: Shape
    """The largest."""


@dataclass(frozen=True)
class Proof:
    """How an engine's answers compared with those of the graph in 32 bits when it was built, on the card itself."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    samples: int
    """How many were answered by both."""
    difference: float
    """Largest difference of a probability, or of a distance as a share of one more than itself."""
    tolerance: float
    """What it had to stay below."""
    ties: int
    """Samples with another label, the probabilities of the two being closer together than twice the tolerance."""


@dataclass(frozen=True)
class Plan:
    """One engine; it runs on this kind of card, with this version of TensorRT, and nowhere else."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    file: str
    """Its path inside the bundle, `engines/….plan`, which the manifest's `files` lists with its hash."""
    precision: Precision
    """Of the encoders; the heads are in 32 bits."""
    tensorrt: str
    """Version that built it."""
    compute_capability: str
    """Of the card, such as 9.0."""
    card: str
    """Its name."""
    graph: str
    """sha256 of the graph that it was built from."""
    ranges: dict[str, Range]
    """For each input of the graph."""
    proof: Proof


def check_plans(engines: Sequence[Plan], files: Mapping[str, str], inputs: Sequence[str]) -> None:
    """Refuse engines that a bundle cannot have.

    Raises:
        ManifestError: a file that is not listed or listed twice, no hash, or shapes that are none.
    """
    named = [engine.file for engine in engines]
    for engine in engines:
        where = f"engines: {engine.file!r}"
        if not (engine.file.startswith(FOLDER) and engine.file.endswith(END)) or named.count(engine.file) > 1:
            raise ManifestError(f"{where}: expected each engine once, as {FOLDER}NAME{END}")
        if engine.file not in files:
            raise ManifestError(f"{where}: expected it among files, found {', '.join(files) or 'none'}")
        if DIGEST.fullmatch(engine.graph) is None or CAPABILITY.fullmatch(engine.compute_capability) is None:
            raise ManifestError(
                f"{where}: expected the sha256 of its graph and a compute capability such as 9.0, found "
                f"{engine.graph!r} and {engine.compute_capability!r}"
            )
        if set(engine.ranges) != set(inputs):
            raise ManifestError(f"{where}: expected ranges of {sorted(inputs)}, found {sorted(engine.ranges)}")
        for name, found in engine.ranges.items():
            if not _ordered(found):
                raise ManifestError(f"{where}: expected growing shapes of 1 or more of {name}, found {found}")
        batches = {(found.least[0], found.usual[0], found.most[0]) for found in engine.ranges.values()}
        if len(batches) != 1:
            raise ManifestError(f"{where}: expected one range of batches for all inputs, found {sorted(batches)}")
        if engine.proof.samples < 1 or not 0 <= engine.proof.difference <= engine.proof.tolerance:
            raise ManifestError(f"{where}: expected a proof within its tolerance, found {engine.proof}")


def _ordered(found: Range) -> bool:
    shapes = (found.least, found.usual, found.most)
    if len({len(shape) for shape in shapes}) != 1 or not found.least:
        return False
    return all(1 <= one <= other <= last for one, other, last in zip(*shapes, strict=True))
