"""A bundle to one that holds a TensorRT engine: `python -m export BUNDLE --to OTHER --tensorrt fp16`.

Precision is decided in a graph that is made of the bundle's own, never by the builder: so what is parsed and built on a
laptop by TensorRT-RTX is what TensorRT builds on the card.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bundle.answer import PRESENT
from bundle.coalitions import membership
from bundle.execution import Precision
from bundle.files import LARGEST, read
from bundle.manifest import FILE, GRAPH, Manifest
from bundle.manifest import sha256 as hash_of
from bundle.modalities import Modality
from bundle.plan import END, FOLDER, Plan
from bundle.predictor import Predictor
from export import parity
from export.assemble import CARD
from export.cards.tensorrt import with_tensorrt
from export.errors import ExportError
from export.feeds import Feed, masked
from export.half import to_half
from export.tensorrt_bounds import bound
from export.tensorrt_build import Shapes, build
from export.tensorrt_int8 import SYMMETRIC, golden_samples
from export.tensorrt_library import Library, tensorrt, tensorrt_rtx
from export.tensorrt_proof import prove
from export.tensorrt_run import Execution, card
from export.tensorrt_shapes import EngineOptions


@dataclass(frozen=True)
class Checked:
    """What TensorRT-RTX made of a graph without a GPU; the engine itself is thrown away."""

    version: str
    precision: Precision
    target: str
    bytes: int
    """Of the engine."""
    seconds: float

    @property
    def told(self) -> str:
        """In words."""
        return (
            f"TensorRT-RTX {self.version} parses the {self.precision} graph and builds an engine of it for "
            f"{self.target} ({self.bytes / 1e6:,.1f} MB, {self.seconds:.0f} s); nothing was run"
        )


def check(bundle: Path, precision: Precision, asked: EngineOptions, target: str | None = None) -> Checked:
    """Parse and build a bundle's graph with TensorRT-RTX, which needs no GPU.

    Args:
        bundle: a finished bundle.
        precision: of the towers.
        asked: the engine's ranges.
        target: a compute capability such as SM86; None for all that TensorRT-RTX knows.

    Raises:
        TensorRTRefused: TensorRT cannot take the graph; names the node.
        ExportError: TensorRT-RTX is not installed, or the bundle has no graph of this precision.
        ManifestError: the bundle must not be used.
    """
    library, start = tensorrt_rtx(), time.perf_counter()
    manifest = Manifest.read(bundle)
    shapes = _shapes(manifest.load_modalities(bundle), asked)
    engine = build(library, graph_of(bundle, manifest, precision), shapes, target)
    return Checked(library.version, precision, target or "every card", len(engine), time.perf_counter() - start)


def graph_of(bundle: Path, manifest: Manifest, precision: Precision) -> bytes:
    """The graph that an engine of this precision is built from.

    Raises:
        ExportError: the bundle has none, or its own graph is in fewer than 32 bits.
    """
    if manifest.precision != "fp32":
        raise ExportError(
            f"expected a bundle whose graph is in 32 bits to make {precision} of, found one in {manifest.precision}"
        )
    if precision == "int8":
        if SYMMETRIC not in manifest.files:
            raise ExportError(
                f"expected {SYMMETRIC} in the bundle, found none: it is made with the data of the training, by "
                "`python -m export RUN --to BUNDLE --tensorrt int8`"
            )
        return read(bundle, SYMMETRIC)
    content = read(bundle, GRAPH)
    if precision == "fp32":
        return content
    model = onnx.load_from_string(content)
    to_half(model, manifest.modalities, precision)
    bound(model)
    return bytes(model.SerializeToString())


def ready() -> Library:
    """TensorRT, on a machine with a card; asked for before a long export begins.

    Raises:
        ExportError: one of the two is not there; says what to install, and what can be done without.
    """
    try:
        library = tensorrt()
        card()
    except ExportError as error:
        raise ExportError(f"{error}; --tensorrt-check does without, with TensorRT-RTX") from None
    return library


def add_engine(
    bundle: Path, precision: Precision, asked: EngineOptions, held_out: Iterable[Feed], library: Library
) -> Plan:
    """Build, prove and store an engine for the card that is there; the manifest is written anew.

    Args:
        bundle: a bundle that nobody uses yet.
        precision: of the towers.
        asked: the engine's ranges.
        held_out: batches of samples with every modality to prove it on, besides the golden ones.
        library: see `ready`.

    Raises:
        TensorRTRefused: TensorRT cannot take the graph; names the node.
        ValueMismatch: the engine answers otherwise than the graph.
        ExportError: no graph of this precision, or an engine over what a file of a bundle may have.
        ManifestError: the bundle must not be used.
    """
    name, capability = card()
    manifest = Manifest.read(bundle)
    modalities = manifest.load_modalities(bundle)
    graph = graph_of(bundle, manifest, precision)
    content = build(library, graph, _shapes(modalities, asked))
    if len(content) > LARGEST:
        raise ExportError(f"expected an engine of at most {LARGEST:,} bytes, found one of {len(content):,}")
    feeds = chain(known(bundle, modalities, asked), held_out)
    session = parity.load(bundle / (SYMMETRIC if precision == "int8" else GRAPH), optimised=precision != "int8")
    proof = prove(Execution(library, content), session, feeds, precision, asked.max_batch)
    file = f"{FOLDER}{precision}-sm{capability.replace('.', '')}{END}"
    digest = sha256(graph).hexdigest()
    plan = Plan(file, precision, library.version, capability, name, digest, asked.ranges(modalities), proof)
    (bundle / file).parent.mkdir(exist_ok=True)
    (bundle / file).write_bytes(content)
    kept = tuple(other for other in manifest.engines if other.file != file)
    restate(bundle, replace(manifest, engines=(*kept, plan)))
    return plan


def known(bundle: Path, modalities: Mapping[str, Modality], asked: EngineOptions) -> list[Feed]:
    """The golden samples alone, together, without each modality, and as often as fills the usual and largest batch."""
    golden = golden_samples(bundle, dict(modalities))
    found = [*golden.alone, golden.feed]
    found += [masked(golden.feed, members) for members in membership(len(modalities))]
    for size in (asked.usual_batch, asked.max_batch):
        rows = np.arange(size) % len(golden.feed[PRESENT])
        found.append({name: values[rows] for name, values in golden.feed.items()})
    return found


def restate(bundle: Path, manifest: Manifest, facts: Mapping[str, Any] | None = None) -> None:
    """Write the manifest and the card of a bundle that got further files, and check it as its users will.

    Args:
        bundle: its folder.
        manifest: as it is to be, but for the files.
        facts: of the export, which its provenance is to state.

    Raises:
        ManifestError: the bundle must not be used.
    """
    told = json.loads(json.dumps(manifest.provenance))
    if facts is not None:
        told.setdefault("export", {}).update(facts)
    stated, card_file = replace(manifest, provenance=told), bundle / CARD
    if card_file.is_file():
        card_file.write_text(with_tensorrt(card_file.read_text(encoding="utf-8"), stated), encoding="utf-8")
    names = [path.relative_to(bundle).as_posix() for path in sorted(bundle.rglob("*")) if path.is_file()]
    files = {name: hash_of(bundle / name) for name in names if name != FILE}
    (bundle / FILE).write_text(replace(stated, files=files).to_json(), encoding="utf-8")
    Predictor(bundle)


def copied(bundle: Path, folder: Path) -> None:
    """A bundle's files into an empty folder: those that its manifest lists, and it.

    Raises:
        ManifestError: the bundle must not be used.
    """
    for name in (*Manifest.read(bundle).files, FILE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(read(bundle, name))


def _shapes(modalities: Mapping[str, Modality], asked: EngineOptions) -> dict[str, Shapes]:
    return {name: (found.least, found.usual, found.most) for name, found in asked.ranges(modalities).items()}
