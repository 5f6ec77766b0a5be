"""A bundle's folder: written aside, proved, and renamed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from bundle.coalitions import membership
from bundle.manifest import FILE, GOLDEN, GRAPH, Input, Manifest, Tolerance, sha256
from bundle.modalities import Array
from bundle.predictor import Predictor
from bundle.selfcheck import SAMPLES, selfcheck, write_golden
from export import parity, promises
from export.calibrate import Measured, Wanted, measure
from export.card import card
from export.feeds import BATCHES, masked, prepare, random_feed, stack
from export.graph import Graph, declare
from export.provenance import provenance
from export.reduced import Golden, load, reduce
from export.replacing import replacing
from export.to_onnx import to_onnx
from training.checkpoint import Checkpoint
from training.measures.improvement import Improvement, improvements

CARD = "model_card.md"
AS_USUAL = Wanted()


@dataclass(frozen=True)
class Assembled:
    """What an export came to."""

    difference: float
    """Largest difference of an output between torch and ONNX; in fewer than 32 bits, over all held-out samples."""
    measured: Measured
    found: tuple[Improvement, ...]
    """Calibration on test."""


def assemble(run: Checkpoint, target: Path, name: str, overwrite: bool = False, wanted: Wanted = AS_USUAL) -> Assembled:
    """Export a finished run to a bundle.

    Everything is written to a temporary folder, proved there, and renamed: `target` is complete or absent.

    Raises:
        ExportError: a proof failed, `target` exists, or the run does not tell what is wanted.
        CheckpointError: the run's weights or scores cannot be read.
        SelfCheckFailed: the bundle does not reproduce its own golden samples.
    """
    with replacing(target, overwrite) as folder:
        return write(run, folder, name, wanted)


def write(run: Checkpoint, folder: Path, name: str, wanted: Wanted = AS_USUAL) -> Assembled:
    """The same, into an empty folder; the arguments and what is raised are those of `assemble`."""
    measured = measure(run, wanted)
    found = improvements(measured.test, tuple(run.modalities), measured.calibration)
    proved = _prove(run, folder)
    difference = proved.difference
    if wanted.option:
        measured, found = reduce(run, folder, proved.golden, found[0], wanted)
        assert measured.quantized is not None
        difference = measured.quantized.difference
    outputs = parity.run(load(folder / GRAPH), proved.golden.feed)
    write_golden(proved.samples, proved.payloads, outputs, folder / GOLDEN)
    done = Assembled(difference, measured, found)
    _write(run, folder, name, done)
    return done


@dataclass(frozen=True)
class _Proved:
    """A graph that is the trained model, and the golden samples."""

    difference: float
    """Largest difference between torch and the graph."""
    payloads: list[dict[str, bytes]]
    samples: list[dict[str, Array]]
    golden: Golden


def _prove(run: Checkpoint, folder: Path) -> _Proved:
    """Write the graph and prove it equal to the trained model."""
    generator = np.random.default_rng(run.config.seed)
    payloads = [
        {entry: modality.example(generator) for entry, modality in run.modalities.items()} for _ in range(SAMPLES)
    ]
    del payloads[-1][list(run.modalities)[-1]]
    samples = [prepare(run.modalities, payload) for payload in payloads]
    golden = stack(run.modalities, samples)
    declaration = declare(run.modalities, len(run.labels))
    graph = Graph(run.model(), declaration).eval()
    model = to_onnx(graph, declaration, tuple(torch.from_numpy(golden[entry][:2]) for entry in graph.names))
    parity.prove_names(model, declaration)
    parity.prove_axes(model, declaration)
    onnx.save(model, folder / GRAPH)
    session = parity.load(folder / GRAPH)
    random = [random_feed(run.modalities, batch, generator) for batch in BATCHES]
    feeds = [golden, *random, *(masked(random[-1], members) for members in membership(len(run.modalities)))]
    difference = parity.prove_values(session, graph, feeds, list(declaration.outputs))
    promises.prove_shares(session, feeds)
    promises.prove_coalitions(session, [golden, random[-1]], tuple(run.modalities))
    promises.prove_absence(session, run.modalities, [golden, random[-1]])
    alone = [stack(run.modalities, [sample]) for sample in samples]
    promises.prove_alone(session, golden, alone)
    return _Proved(difference, payloads, samples, Golden(golden, alone))


def _write(run: Checkpoint, folder: Path, name: str, done: Assembled) -> None:
    """Write everything else, the manifest last, and check the bundle as its users will, but for bf16: only a GPU runs
    it, and its golden samples are replayed where it is served."""
    for modality in run.modalities.values():
        for file, content in modality.files().items():
            (folder / file).write_bytes(content)
    text = card(name, run, done.measured, done.found, done.difference)
    (folder / CARD).write_text(text, encoding="utf-8")
    inputs = tuple(
        Input(entry, modality.name, modality.parameters(), modality.shape, modality.dtype)
        for entry, modality in run.modalities.items()
    )
    quantized = done.measured.quantized
    manifest = Manifest(
        name,
        run.labels,
        inputs,
        {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != FILE},
        provenance(run, done.difference, done.measured, done.found),
        done.measured.calibration,
        Tolerance(probabilities=max(parity.TOLERANCE, quantized.tolerance if quantized is not None else 0.0)),
        done.measured.expectations,
        done.measured.shifts,
        done.measured.abstain_below,
        "fp32" if quantized is None else quantized.kind,
    )
    (folder / FILE).write_text(manifest.to_json(), encoding="utf-8")
    if manifest.precision != "bf16":
        selfcheck(Predictor(folder))
