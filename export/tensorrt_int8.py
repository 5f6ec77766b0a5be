"""The graph in eight bits that TensorRT takes: made of a bundle's own, measured on held-out samples, kept beside it.

It answers in the place of the bundle's graph, under the bundle's own temperatures and thresholds. So these are what it
is measured with: what it may lose is what an engine of it would lose.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from bundle.answer import PRESENT
from bundle.manifest import GOLDEN, GRAPH, Manifest
from bundle.modalities import Modality
from bundle.plan import FOLDER
from bundle.selfcheck import read_golden
from export import parity
from export.acceptance import Acceptance, Figures, accept, figures
from export.data import Data
from export.feeds import Feed, stack
from export.quantize import quantize_symmetric
from export.reduced import Golden, apart, prove_promises, score, spread
from training.checkpoint import Checkpoint
from training.evaluate import Scores
from training.measures.improvement import improvements
from training.measures.missing import cautious

OPTION = "--tensorrt int8"
SYMMETRIC = f"{FOLDER}int8.onnx"
"""Its file in the bundle."""


def to_symmetric(run: Checkpoint, folder: Path, data: Data) -> Acceptance:
    """Write `engines/int8.onnx` into a bundle, without its manifest; returns what eight bits cost.

    It is run as the graph defines it, with what lies between two roundings in 32 bits, and not in integers: that is
    what TensorRT computes, whose sums do not saturate.

    Args:
        run: the finished training.
        folder: the bundle that was made of it, in 32 bits.
        data: of the training.

    Raises:
        ExportError: the graph cannot be quantised.
        NotAccepted: it loses more than it may.
        ValueMismatch: it breaks a promise.
    """
    manifest, names = Manifest.read(folder), tuple(run.modalities)
    model, path, seen = onnx.load(folder / GRAPH), folder / SYMMETRIC, data.calibration()
    ways = quantize_symmetric(model, names, seen)
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)
    session = parity.load(path, optimised=False)
    golden = golden_samples(folder, run.modalities)
    prove_promises(run, model, session, [golden.feed, data.held_out["test"][0]])
    scores = {split: score(session, data.held_out[split], found) for split, found in data.trained.items()}
    before, after = (
        _figures(one, file.stat().st_size, manifest)
        for one, file in ((data.trained["test"], folder / GRAPH), (scores["test"], path))
    )
    found = Acceptance(
        "int8",
        ways,
        before,
        after,
        len(scores["test"].labels),
        sum(len(feed[PRESENT]) for feed in seen),
        max(apart(scores[split], trained) for split, trained in data.trained.items()),
        spread(session, session, golden, data.held_out["test"][0]),
    )
    accept(found, OPTION)
    return found


def golden_samples(folder: Path, modalities: dict[str, Modality]) -> Golden:
    """The golden samples of a bundle."""
    golden = read_golden(folder / GOLDEN)
    samples: list[Feed] = []
    while True:
        prefix = f"{len(samples)}/array/"
        sample = {name: golden[prefix + name] for name in modalities if prefix + name in golden}
        if not sample:
            return Golden(stack(modalities, samples), [stack(modalities, [one]) for one in samples])
        samples.append(sample)


def facts(found: Acceptance) -> dict[str, Any]:
    """For the bundle's provenance."""
    return {**asdict(found), "kind": "symmetric int8"}


def _figures(scores: Scores, size: int, manifest: Manifest) -> Figures:
    seen = cautious(scores, manifest.modalities, manifest.shifts)
    return figures(improvements(seen, manifest.modalities, manifest.calibration)[0], size)
