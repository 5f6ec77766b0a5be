"""A graph loaded where it was asked to run, or refused: never quietly elsewhere."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.binding import run_bound, run_plain
from bundle.checking import one_line
from bundle.engines import Place, tensorrt_options
from bundle.errors import ExecutionUnavailable, ManifestError
from bundle.execution import PROVIDERS, Execution, Precision, Target, cuda_options, precision
from bundle.graphics import Card, find_card, load_cuda, load_tensorrt
from bundle.manifest import GRAPH
from bundle.modalities import Array
from bundle.plan import Range
from bundle.runtime import onnxruntime
from bundle.work import Work

OVERRIDE = "NVIDIA_TF32_OVERRIDE"
"""NVIDIA's own variable: 0 forbids TF32, which TensorRT's provider has no option for."""
NOWHERE = "a graph cannot run where it was asked to"
ASSIGNMENT = "session.record_ep_graph_assignment_info"


@dataclass(frozen=True)
class Running:
    """What really runs a graph."""

    target: Target
    provider: str
    """ONNX Runtime's execution provider."""
    device: str
    """`cpu`, or the GPU with its number."""
    precision: str
    """What its towers compute in: fp32, tf32, fp16, bf16 or int8."""
    nodes: dict[str, int]
    """How many of the graph's nodes each provider took. A GPU's leaves some that only compute shapes to the CPU."""


@dataclass(frozen=True)
class GraphFile:
    """A checked graph and what is known of it."""

    content: bytes
    precision: Precision
    ranges: Mapping[str, Range]
    """Of its inputs, for an engine."""
    fused: bool = False
    """Whether it has operators of ONNX Runtime's own."""


class Session:
    """A graph that is loaded. Safe to call from several threads.

    Args:
        graph: what is to be run.
        execution: where it may run.

    Raises:
        ManifestError: the graph does not load.
        ExecutionUnavailable: it cannot run where it was asked to; tells the reason for each target.
    """

    def __init__(self, graph: GraphFile, execution: Execution) -> None:
        self.refused: dict[Target, str] = {}
        """Targets that were asked for before the one that is used, and why they cannot be."""
        for target in execution.tried:
            try:
                self._session, self.running = _open(graph, target, execution)
                break
            except ExecutionUnavailable as error:
                self.refused[target] = str(error)
        else:
            told = "; ".join(f"{target}: {reason}" for target, reason in self.refused.items())
            raise ExecutionUnavailable(f"{NOWHERE}: {told}")
        self.inputs = self._session.get_inputs()
        self.outputs = self._session.get_outputs()
        self._names = [node.name for node in self.outputs]
        self._device = ("cuda", execution.gpu.device) if self.running.target != "cpu" else None
        self._most = execution.gpu.largest_batch if self.running.target == "tensorrt" else None

    def run(self, feed: Mapping[str, Array], work: Work | None = None) -> dict[str, Array]:
        """Outputs by name. `work` may end it early, after the node that it is at.

        Raises:
            WorkCancelled: the work was cancelled.
        """
        size = len(next(iter(feed.values())))
        if self._most is None or size <= self._most:
            return self._run(feed, work)
        parts = [
            self._run({name: values[start : start + self._most] for name, values in feed.items()}, work)
            for start in range(0, size, self._most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def _run(self, feed: Mapping[str, Array], work: Work | None) -> dict[str, Array]:
        if work is None:
            return self._outputs(feed, None)
        options = onnxruntime.RunOptions()
        with work.watched(lambda: setattr(options, "terminate", True)):
            try:
                return self._outputs(feed, options)
            except Exception:  # ONNX Runtime has no type of its own for a run that was ended
                work.check()
                raise

    def _outputs(self, feed: Mapping[str, Array], options: Any) -> dict[str, Array]:
        if self._device is None:
            return run_plain(self._session, self._names, feed, options)
        return run_bound(self._session, self._names, feed, self._device, options)


def _open(graph: GraphFile, target: Target, execution: Execution) -> tuple[Any, Running]:
    card, providers = _prepare(graph, target, execution)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if execution.threads is not None:
        options.intra_op_num_threads = execution.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry(ASSIGNMENT, "1")
    try:
        session = onnxruntime.InferenceSession(graph.content, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises its own and built-in types
        if target == "cpu":
            raise ManifestError(
                f"{GRAPH}: expected a graph that loads, found one that does not ({one_line(error)})"
            ) from None
        raise ExecutionUnavailable(f"ONNX Runtime refuses: {one_line(error)}") from None
    nodes: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        nodes[part.ep_name] = nodes.get(part.ep_name, 0) + len(part.get_nodes())
    wanted, device = PROVIDERS[target], "cpu" if card is None else f"cuda:{execution.gpu.device} ({card.name})"
    running = Running(target, wanted, device, precision(graph.precision, target, execution.gpu), nodes)
    check_assignment(session.get_providers(), running)
    return session, running


def check_assignment(providers: list[str], running: Running) -> None:
    """ONNX Runtime replaces a provider that it cannot load, and says so on standard error alone.

    Raises:
        ExecutionUnavailable: it did, or left the provider without a node.
    """
    wanted, [best, *_] = running.provider, providers
    if best != wanted:
        raise ExecutionUnavailable(f"asked for {wanted}, but ONNX Runtime runs the graph on {best}")
    if running.target != "cpu" and not running.nodes.get(wanted):
        taken = ", ".join(f"{count} by {name}" for name, count in running.nodes.items())
        raise ExecutionUnavailable(f"{wanted} takes none of the graph's nodes (taken: {taken})")


def check_targets(execution: Execution) -> None:
    """Look, without a graph, whether there is a target that can be used: what each needs is loaded.

    Raises:
        ExecutionUnavailable: there is none; tells the reason for each.
    """
    refused = []
    for target in execution.tried:
        try:
            _load(target, execution.gpu.device)
            return
        except ExecutionUnavailable as error:
            refused.append(f"{target}: {error}")
    raise ExecutionUnavailable(f"{NOWHERE}: {'; '.join(refused)}")


def _load(target: Target, device: int) -> tuple[Card | None, str]:
    """Load the libraries that a target needs; returns the card and the version of TensorRT, where they are needed."""
    if target == "cpu":
        return None, ""
    card = find_card(device)
    load_cuda()
    return card, load_tensorrt() if target == "tensorrt" else ""


def _prepare(graph: GraphFile, target: Target, execution: Execution) -> tuple[Card | None, list[Any]]:
    """Load what a target needs; returns the card, and ONNX Runtime's providers with their options."""
    if target == "cpu":
        if graph.precision == "bf16":
            raise ExecutionUnavailable("a graph in bf16 needs cuda or tensorrt: ONNX Runtime computes none on a CPU")
        return None, [PROVIDERS["cpu"]]
    if target == "tensorrt" and graph.fused:
        raise ExecutionUnavailable(
            "a fused graph needs cuda or cpu: TensorRT has none of its operators; exported without --fused it has them"
        )
    gpu = execution.gpu
    card, version = _load(target, gpu.device)
    cuda = (PROVIDERS["cuda"], cuda_options(gpu))
    if target == "cuda":
        return card, [cuda]
    assert card is not None
    if not gpu.tf32:
        os.environ.setdefault(OVERRIDE, "0")
    place = Place(hashlib.sha256(graph.content).hexdigest(), version, card.capability)
    options = tensorrt_options(place, graph.ranges, graph.precision, gpu)
    Path(options["trt_engine_cache_path"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    return card, [(PROVIDERS["tensorrt"], options), cuda]
