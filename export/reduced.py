"""A proved graph in 32 bits to one in fewer, measured on every held-out sample before it may take its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE, SHIFT
from bundle.coalitions import membership
from bundle.manifest import GRAPH
from export import parity, promises
from export.acceptance import Acceptance, accept, figures
from export.calibrate import Measured, Wanted, measure_scores
from export.errors import ExportError
from export.feeds import BATCHES, Feed, masked, random_feed
from export.graph import declare
from export.half import emulated, to_half
from export.quantize import quantize
from training import scoring
from training.checkpoint import SCORES, Checkpoint
from training.errors import DataError
from training.evaluate import Scores
from training.loading import Samples
from training.measures.improvement import Improvement, improvements
from training.preparation import Prepared
from training.reporting.features import restore

CALIBRATED, BATCH = 128, 16
"""Training samples that show the ranges of activations, and how many go through a graph at once."""


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
    trained = {split: found for split, found in scoring.load(run.folder / SCORES).items() if split in ("val", "test")}
    try:
        prepared = restore(run)
    except DataError as error:
        raise ExportError(
            f"{wanted.option} needs the data of the training, which was not found as it was: {error}"
        ) from None
    path, names = folder / GRAPH, tuple(run.modalities)
    size = path.stat().st_size
    model, chosen = onnx.load(path), np.zeros(0, np.int64)
    ways: Mapping[str, str]
    if wanted.precision is None:
        chosen = np.random.default_rng(run.config.seed).permutation(prepared.pairs.indices("train"))[:CALIBRATED]
        ways = quantize(model, names, list(batches(run, prepared, chosen)))
    else:
        ways = to_half(model, names, wanted.precision)
    onnx.save(model, path)
    session = load(path)
    held = {split: list(batches(run, prepared, found.samples)) for split, found in trained.items()}
    _prove(run, model, session, [golden.feed, held["test"][0]])
    scores = {split: _scores(session, held[split], found) for split, found in trained.items()}
    measured = measure_scores(names, scores, wanted)
    improved = improvements(measured.test, names, measured.calibration)
    acceptance = Acceptance(
        wanted.precision or "int8",
        ways,
        figures(before, size),
        figures(improved[0], path.stat().st_size),
        len(measured.test.labels),
        len(chosen),
        max(_apart(scores[split], found) for split, found in trained.items()),
        _spread(session, load(path, optimised=False), golden, held["test"][0]),
    )
    accept(acceptance)
    return replace(measured, quantized=acceptance), improved


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


def batches(run: Checkpoint, prepared: Prepared, indices: NDArray[np.int64]) -> Iterator[Feed]:
    """Samples as the graph takes them, with every modality; in order, `BATCH` at a time."""
    samples = Samples(prepared, indices, None, run.config.seed)
    for start in range(0, len(indices), BATCH):
        batch = samples.collate([samples[0, number] for number in range(start, min(start + BATCH, len(indices)))])
        feed: Feed = {name: tensor.numpy() for name, tensor in batch.inputs.items()}
        yield {**feed, PRESENT: np.ones((len(batch.labels), len(feed)), np.bool_)}


def _prove(run: Checkpoint, model: onnx.ModelProto, session: Any, known: list[Feed]) -> None:
    """What every graph is proved to keep, but for the values, which are measured."""
    declaration = declare(run.modalities, len(run.labels))
    parity.prove_names(model, declaration)
    parity.prove_axes(model, declaration)
    for batch in BATCHES:
        parity.run(session, random_feed(run.modalities, batch, np.random.default_rng(run.config.seed)))
    masks = [masked(known[-1], members) for members in membership(len(run.modalities))]
    promises.prove_shares(session, [*known, *masks])
    promises.prove_coalitions(session, known, tuple(run.modalities))
    promises.prove_absence(session, run.modalities, [known[0], *masks])


def _scores(session: Any, feeds: list[Feed], trained: Scores) -> Scores:
    """What the new graph gives for the samples of a split. What deletions cost is kept as it was trained."""
    found = [parity.run(session, feed) for feed in feeds]
    joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return replace(
        trained,
        logits=joined[LOGITS],
        coalitions=joined[COALITIONS],
        shares={name: joined[SHARE + name] for name in trained.shares},
        shifts={name: joined[SHIFT + name] for name in trained.shifts},
    )


def _apart(found: Scores, trained: Scores) -> float:
    """Largest difference of a probability or a distance."""
    pairs = [(LOGITS, found.logits, trained.logits), (COALITIONS, found.coalitions, trained.coalitions)]
    for prefix, kind in ((SHARE, "shares"), (SHIFT, "shifts")):
        parts, others = getattr(found, kind), getattr(trained, kind)
        pairs += [(prefix + name, values, others[name]) for name, values in parts.items()]
    return max(parity.difference(name, one, other) for name, one, other in pairs)


def _spread(session: Any, plain: Any, golden: Golden, feed: Feed) -> float:
    """How far the graph's answers vary with who else is in the batch, and with how integers are computed."""
    found = [promises.farthest_alone(session, golden.feed, golden.alone)[0]]
    for batch in (golden.feed, feed):
        one, other = parity.run(session, batch), parity.run(plain, batch)
        found += [parity.difference(name, values, other[name]) for name, values in one.items()]
    rows = [{name: values[row : row + 1] for name, values in feed.items()} for row in range(len(feed[PRESENT]))]
    return max(*found, promises.farthest_alone(session, feed, rows)[0])
