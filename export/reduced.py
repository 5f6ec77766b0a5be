"""A proved graph in 32 bits to one in fewer, measured on every held-out sample before it may take its place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE, SHIFT
from bundle.coalitions import membership
from bundle.manifest import GRAPH
from export import parity, promises
from export.acceptance import Acceptance, accept, figures
from export.calibrate import Measured, Wanted, measure_scores
from export.data import Data
from export.feeds import BATCHES, Feed, masked, random_feed
from export.fusing import Fused
from export.graph import Graph, declare
from export.half import emulated, to_half
from export.quantize import quantize
from training.checkpoint import Checkpoint
from training.evaluate import Scores
from training.measures.improvement import Improvement, improvements


@dataclass(frozen=True)
class Golden:
    """The golden samples, prepared: as one batch."""

    feed: Feed
    alone: list[Feed]
    """Each as a batch of one."""


def reduce(
    run: Checkpoint, folder: Path, golden: Golden, before: Improvement, wanted: Wanted
) -> tuple[Measured, tuple[Improvement, ...]]:
    """Replace the graph in a folder by one in eight or sixteen bits; returns what its outputs say of held-out samples.

    Temperatures, thresholds and expectations are learned anew from the new graph's outputs, so that what the manifest
    states is of the graph that is served.

    Args:
        run: the finished training, whose data is read again.
        folder: with the proved graph.
        golden: the golden samples.
        before: the calibration of the trained model's fused output.
        wanted: as for the trained model.

    Raises:
        ExportError: the data is not there any more, or the graph cannot be converted.
        NotAccepted: it loses more than it may.
        ValueMismatch: it breaks a promise.
    """
    data = Data(run, wanted.option)
    path, names, trained, held = folder / GRAPH, tuple(run.modalities), data.trained, data.held_out
    size = path.stat().st_size
    model = onnx.load(path)
    seen: Sequence[Feed] = ()
    ways: Mapping[str, str]
    fused = None
    if wanted.precision is None:
        seen = data.calibration()
        ways = quantize(model, names, seen)
    else:
        if wanted.fused:
            model, fused = fuse(run, path, [golden.feed, held["val"][0], held["test"][0]])
        ways = to_half(model, names, wanted.precision)
    onnx.save(model, path)
    session = load(path)
    prove_promises(run, model, session, [golden.feed, held["test"][0]])
    scores = {split: score(session, held[split], found) for split, found in trained.items()}
    measured = measure_scores(names, scores, wanted)
    improved = improvements(measured.test, names, measured.calibration)
    acceptance = Acceptance(
        wanted.precision or "int8",
        ways,
        figures(before, size),
        figures(improved[0], path.stat().st_size),
        len(measured.test.labels),
        sum(len(feed[PRESENT]) for feed in seen),
        max(apart(scores[split], found) for split, found in trained.items()),
        spread(session, load(path, optimised=False), golden, held["test"][0]),
        fused,
    )
    accept(acceptance)
    return replace(measured, quantized=acceptance), improved


def fuse(run: Checkpoint, path: Path, known: list[Feed]) -> tuple[onnx.ModelProto, int]:
    """Fuse a proved graph, still in 32 bits, and prove it again; returns it and how many layers of attention it has.

    Args:
        run: the finished training.
        path: of the graph, which is replaced.
        known: batches of samples.

    Raises:
        ExportError: it cannot be fused.
        ValueMismatch: fused, it differs from torch.
    """
    found = Fused(onnx.load(path))
    onnx.save(found.model, path)
    generator = np.random.default_rng(run.config.seed)
    random = [random_feed(run.modalities, batch, generator) for batch in BATCHES]
    masks = [masked(random[-1], members) for members in membership(len(run.modalities))]
    declaration = declare(run.modalities, len(run.labels))
    graph = Graph(run.model(), declaration).eval()
    parity.prove_values(parity.load(path), graph, [*known, *random, *masks], list(declaration.outputs))
    return found.model, len(found.attentions)


def load(path: Path, optimised: bool = True) -> Any:
    """A session on the CPU of a graph in any precision; one in bf16 as a CPU can run it.

    Raises:
        ExportError: ONNX Runtime refuses the graph.
    """
    model = onnx.load(path)
    if all(tensor.data_type != onnx.TensorProto.BFLOAT16 for tensor in model.graph.initializer):
        return parity.load(path, optimised)
    with TemporaryDirectory() as folder:
        onnx.save(emulated(model), Path(folder) / GRAPH)
        return parity.load(Path(folder) / GRAPH, optimised)


def prove_promises(run: Checkpoint, model: onnx.ModelProto, session: Any, known: list[Feed]) -> None:
    """What every graph is proved to keep, but for the values, which are measured.

    Args:
        run: the finished training.
        model: the graph.
        session: of the graph.
        known: batches of samples, golden ones first.

    Raises:
        ExportError: it is not kept.
    """
    declaration = declare(run.modalities, len(run.labels))
    parity.prove_names(model, declaration)
    parity.prove_axes(model, declaration)
    for batch in BATCHES:
        parity.run(session, random_feed(run.modalities, batch, np.random.default_rng(run.config.seed)))
    masks = [masked(known[-1], members) for members in membership(len(run.modalities))]
    promises.prove_shares(session, [*known, *masks])
    promises.prove_coalitions(session, known, tuple(run.modalities))
    promises.prove_absence(session, run.modalities, [known[0], *masks])


def score(session: Any, feeds: Iterable[Feed], trained: Scores) -> Scores:
    """What a graph in fewer bits gives for the samples of a split. What deletions cost is kept as it was trained."""
    found = [parity.run(session, feed) for feed in feeds]
    joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return replace(
        trained,
        logits=joined[LOGITS],
        coalitions=joined[COALITIONS],
        shares={name: joined[SHARE + name] for name in trained.shares},
        shifts={name: joined[SHIFT + name] for name in trained.shifts},
    )


def apart(found: Scores, trained: Scores) -> float:
    """Largest difference of a probability or a distance."""
    pairs = [(LOGITS, found.logits, trained.logits), (COALITIONS, found.coalitions, trained.coalitions)]
    for prefix, kind in ((SHARE, "shares"), (SHIFT, "shifts")):
        parts, others = getattr(found, kind), getattr(trained, kind)
        pairs += [(prefix + name, values, others[name]) for name, values in parts.items()]
    return max(parity.difference(name, one, other) for name, one, other in pairs)


def spread(session: Any, plain: Any, golden: Golden, feed: Feed) -> float:
    """How far the graph's answers vary with who else is in the batch, and with how integers are computed."""
    found = [promises.farthest_alone(session, golden.feed, golden.alone)[0]]
    for batch in (golden.feed, feed):
        one, other = parity.run(session, batch), parity.run(plain, batch)
        found += [parity.difference(name, values, other[name]) for name, values in one.items()]
    rows = [{name: values[row : row + 1] for name, values in feed.items()} for row in range(len(feed[PRESENT]))]
    return max(*found, promises.farthest_alone(session, feed, rows)[0])
