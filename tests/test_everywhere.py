"""One table of truth: the same raw samples, wherever a bundle runs, get the trained model's answers."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bundle.answer import answers
from bundle.errors import ExecutionUnavailable
from bundle.execution import Execution, Gpu, Target
from bundle.files import read
from bundle.manifest import Manifest
from bundle.predictor import Arrays, Predictor
from bundle.session import GraphFile, Session, check_targets
from clients.rest import Client
from export.errors import ExportError
from export.graph import Graph, declare
from export.tensorrt_int8 import SYMMETRIC
from export.tensorrt_library import Library, tensorrt_rtx
from export.tensorrt_run import Execution as Engine
from export.to_tensorrt import ready
from export.to_triton import to_triton
from export.triton_config import TritonOptions
from scripts import triton
from serving.offline.__main__ import main as offline
from tests import pipeline
from tests.bundles import PAIRINGS
from tests.pipeline import Trained
from tests.serving.process import Server, environment, serving
from tests.trained import Held, held_out, payloads
from tests.triton_server import server_or_skip

pytest.importorskip("bentoml")

WHERE = {
    "onnxruntime": ("fp32", "fp16", "int8"),
    "service": ("fp32", "fp16", "int8"),
    "offline": ("fp32", "fp16", "int8"),
    "triton": ("fp32", "fp16", "int8"),
    "cuda": ("fp32", "tf32", "fp16", "bf16"),
    "tensorrt": ("fp32", "fp16", "bf16"),
    "symmetric": ("int8",),
    "engine": ("fp32", "fp16", "bf16", "int8"),
}
"""What runs a bundle, and in which precisions: `symmetric` is the graph in eight bits that TensorRT's engine is
made of, in ONNX Runtime on a CPU, `engine` the engine itself."""
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "int8": None, "fp16": None, "bf16": None}
"""Largest difference of a probability to torch's. None is what the bundle itself states: what its export measured on
held-out samples, of which these are some, and how far two devices may be apart."""
CONFIDENCE = "confidence in it of "
SAMPLES = 4
"""Of each pairing; of two of them a modality is left out besides."""
Said = dict[str, float]
"""What is compared of an answer: the probability of each class, each modality's confidence in the predicted one."""


@dataclass(frozen=True)
class Told:
    """An answer, as far as it is compared."""

    label: str
    numbers: Said


class Everywhere:
    """The bundles, the samples, and whoever answers; each is made when it is first asked for."""

    def __init__(self, factory: pytest.TempPathFactory, stack: ExitStack) -> None:
        self._factory, self._base, self._stack = factory, factory.getbasetemp(), stack
        self._expected: dict[tuple[str, ...], list[Told]] = {}
        self._samples: dict[tuple[str, ...], list[Held]] = {}

    def trained(self, pairing: tuple[str, ...]) -> Trained:
        return pipeline.trained(self._base)[pairing]

    def bundle(self, pairing: tuple[str, ...], precision: str) -> Path:
        return pipeline.bundle(self._base, pairing, "fp32" if precision == "tf32" else precision)

    def for_tensorrt(self, pairing: tuple[str, ...], precision: str) -> Path:
        """With an engine where there is a card and TensorRT, else with the graph that one is made of."""
        return pipeline.with_engine(self._base, pairing, precision, not has_engines())

    def folder(self) -> Path:
        return self._factory.mktemp("everywhere")

    def samples(self, pairing: tuple[str, ...]) -> list[Held]:
        """Held-out samples, then two of them with one modality each."""
        if pairing not in self._samples:
            whole = held_out(self.trained(pairing).table, pairing, SAMPLES)
            self._samples[pairing] = [*whole, *({name: whole[n][name]} for n, name in enumerate(pairing))]
        return self._samples[pairing]

    def expected(self, pairing: tuple[str, ...]) -> list[Told]:
        """What torch says."""
        if pairing not in self._expected:
            found = self.trained(pairing)
            self._expected[pairing] = by_torch(found, [payloads(sample) for sample in self.samples(pairing)])
        return self._expected[pairing]

    @cached_property
    def server(self) -> Server:
        """One service with every bundle of every precision that a CPU runs."""
        folder = self.folder()
        bundles = [self.bundle(pairing, precision) for pairing in PAIRINGS for precision in WHERE["service"]]
        variables = environment(folder / "home", bundles=",".join(map(str, bundles)), inference_threads=1)
        started = self._stack.enter_context(serving(folder, variables))
        started.wait_for("/readyz", 200)
        return started

    @cached_property
    def triton(self) -> triton.Triton:
        """One Triton server with the same bundles."""
        server, folder = server_or_skip(), self.folder()
        for pairing in PAIRINGS:
            for precision in WHERE["triton"]:
                to_triton(
                    self.bundle(pairing, precision),
                    folder / "repository",
                    TritonOptions(flavours=("portable",), threads=1, max_batch=4),
                )
        return self._stack.enter_context(triton.started(folder / "repository" / "portable", folder / "log", server))


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    with ExitStack() as stack:
        yield Everywhere(tmp_path_factory, stack)


def has_engines() -> bool:
    """Whether engines can be built and run here."""
    try:
        ready()
    except ExportError:
        return False
    return True


def told(answer: Any) -> Told:
    """Of a `Prediction` or a client's answer."""
    numbers = {entry.label: entry.probability for entry in answer.predictions}
    numbers |= {CONFIDENCE + name: own.confidence for name, own in answer.modalities.items()}
    return Told(answer.predictions[0].label, numbers)


def by_torch(found: Trained, raw: Sequence[Any]) -> list[Told]:
    """The trained model in torch, behind the bundle's preprocessing and before its answers."""
    predictor, run = Predictor(found.bundle), found.run
    batch = [predictor.prepare(sample) for sample in raw]
    declaration = declare(run.modalities, len(run.labels))
    feed = predictor.feed(batch)
    with torch.inference_mode():
        graph = Graph(run.model(), declaration).eval()
        values = graph(*(torch.from_numpy(feed[name]) for name in declaration.inputs))
    outputs = dict(zip(declaration.outputs, (value.numpy() for value in values), strict=True))
    return [told(answer) for answer in answers(predictor.manifest, outputs, predictor.present(batch))]


def ask_onnxruntime(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    return in_process(everywhere, pairing, precision, Execution(threads=1))


def ask_cuda(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    return on_gpu(everywhere, pairing, precision, "cuda")


def ask_tensorrt(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    return on_gpu(everywhere, pairing, precision, "tensorrt")


def on_gpu(everywhere: Everywhere, pairing: tuple[str, ...], precision: str, target: Target) -> list[Told]:
    execution = Execution((target,), gpu=Gpu(tf32=precision == "tf32", engines=everywhere.folder()))
    try:
        check_targets(execution)
    except ExecutionUnavailable as error:
        pytest.skip(str(error))
    return in_process(everywhere, pairing, precision, execution)


def in_process(everywhere: Everywhere, pairing: tuple[str, ...], precision: str, execution: Execution) -> list[Told]:
    predictor = Predictor(everywhere.bundle(pairing, precision), execution)
    assert (predictor.running.target, predictor.running.precision) == (execution.targets[0], precision)
    raw = [payloads(sample) for sample in everywhere.samples(pairing)]
    return [told(answer) for answer in predictor.predict(raw)]


def ask_service(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    name = everywhere.bundle(pairing, precision).name
    with Client(everywhere.server.url) as client:
        return [
            told(client.predict(model=name, require_all=None, abstain_below=None, **sample))
            for sample in everywhere.samples(pairing)
        ]


def ask_triton(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    from clients.triton import Client as Triton

    url = f"grpc://127.0.0.1:{everywhere.triton.grpc}"
    with Triton(url, everywhere.bundle(pairing, precision)) as client:
        return [
            told(client.predict(require_all=None, abstain_below=None, **payloads(sample)))
            for sample in everywhere.samples(pairing)
        ]


def ask_offline(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    """A table of the samples: answers have the label, its probability, and each modality's confidence in it."""
    folder = everywhere.folder()
    rows = [cells(sample) for sample in everywhere.samples(pairing)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    bundle = str(everywhere.bundle(pairing, precision))
    files = ["--table", str(folder / "table.csv"), "--out", str(folder / "answers.csv")]
    assert offline([bundle, *files, "--threads", "1", "--inference-threads", "1", "--batch", "4"]) == 0
    found = []
    with (folder / "answers.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            numbers = {row["label"]: float(row["probability"])}
            for name in pairing:
                if row[f"{name}_confidence"]:
                    numbers[CONFIDENCE + name] = float(row[f"{name}_confidence"])
            found.append(Told(row["label"], numbers))
    return found


def cells(sample: Held) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sample.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def ask_symmetric(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    library_or_skip(tensorrt_rtx)
    bundle = everywhere.for_tensorrt(pairing, precision)
    graph = GraphFile(read(bundle, SYMMETRIC), "int8", {})
    return from_outputs(everywhere, pairing, bundle, Session(graph, Execution(threads=1)).run)


def ask_engine(everywhere: Everywhere, pairing: tuple[str, ...], precision: str) -> list[Told]:
    library = library_or_skip(ready)
    bundle = everywhere.for_tensorrt(pairing, precision)
    [plan] = Manifest.read(bundle).engines
    return from_outputs(everywhere, pairing, bundle, Engine(library, read(bundle, plan.file)).run)


def library_or_skip(find: Callable[[], Library]) -> Library:
    try:
        return find()
    except ExportError as error:
        pytest.skip(str(error))


def from_outputs(
    everywhere: Everywhere, pairing: tuple[str, ...], bundle: Path, run: Callable[[Arrays], Arrays]
) -> list[Told]:
    """Answers of what takes the graph's inputs and gives its outputs."""
    predictor = Predictor(bundle)
    batch = [predictor.prepare(payloads(sample)) for sample in everywhere.samples(pairing)]
    return [
        told(answer) for answer in answers(predictor.manifest, run(predictor.feed(batch)), predictor.present(batch))
    ]


ASK = {
    "onnxruntime": ask_onnxruntime,
    "service": ask_service,
    "offline": ask_offline,
    "triton": ask_triton,
    "cuda": ask_cuda,
    "tensorrt": ask_tensorrt,
    "symmetric": ask_symmetric,
    "engine": ask_engine,
}


def stated(bundle: Path) -> float:
    """How far a bundle of fewer bits may be from torch by its own account."""
    manifest = Manifest.read(bundle)
    return float(manifest.provenance["export"]["difference"]) + manifest.tolerance.probabilities


def allowed(everywhere: Everywhere, target: str, precision: str, pairing: tuple[str, ...]) -> float:
    """Largest difference of a probability to torch's."""
    if target not in ("symmetric", "engine"):
        return TOLERANCE[precision] or stated(everywhere.bundle(pairing, precision))
    manifest = Manifest.read(everywhere.for_tensorrt(pairing, precision))
    found = manifest.tolerance.probabilities + sum(plan.proof.tolerance for plan in manifest.engines)
    measured = manifest.provenance["export"].get("tensorrt_int8")
    return found + (float(measured["difference"]) if measured else 0.0)


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize(("target", "precision"), [(one, kind) for one, kinds in WHERE.items() for kind in kinds])
def test_a_bundle_answers_like_the_trained_model(
    everywhere: Everywhere, target: str, precision: str, pairing: tuple[str, ...]
) -> None:
    expected, found = everywhere.expected(pairing), ASK[target](everywhere, pairing, precision)
    tolerance = allowed(everywhere, target, precision, pairing)
    assert len(found) == len(expected) == SAMPLES + 2
    for answer, trained in zip(found, expected, strict=True):
        margin = np.diff(sorted(trained.numbers[label] for label in everywhere.trained(pairing).run.labels))[-1]
        if margin > 2 * tolerance:
            assert answer.label == trained.label
        assert answer.numbers and {*trained.numbers} >= {*answer.numbers}
        for name, number in answer.numbers.items():
            if answer.label == trained.label or not name.startswith(CONFIDENCE):
                assert abs(number - trained.numbers[name]) <= tolerance, name


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9), ("fp16", 0.75), ("int8", 0.6)])
def test_labels_are_compared_of_most_samples(everywhere: Everywhere, precision: str, least: float) -> None:
    """The trained model is surer of them than twice the tolerance, so that no label may change."""
    sure = []
    for pairing in PAIRINGS:
        labels = everywhere.trained(pairing).run.labels
        tolerance = TOLERANCE[precision] or stated(everywhere.bundle(pairing, precision))
        for trained in everywhere.expected(pairing):
            sure.append(np.diff(sorted(trained.numbers[label] for label in labels))[-1] > 2 * tolerance)
    assert np.mean(sure) > least


def test_the_service_tells_what_each_bundle_computes_in(everywhere: Everywhere) -> None:
    with everywhere.server.client() as client:
        models = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
        metrics = client.get("/metrics").text
    for pairing in PAIRINGS:
        for precision in WHERE["service"]:
            name = everywhere.bundle(pairing, precision).name
            running = models[name]
            assert (running["precision"], running["device"]) == (precision, "cpu")
            assert running["nodes"].keys() == {"CPUExecutionProvider"}
            told = json.dumps(name)
            assert f'device="cpu",model={told},precision="{precision}",provider="CPUExecutionProvider"' in metrics
