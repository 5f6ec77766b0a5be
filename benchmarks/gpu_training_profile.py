"""Where the time of an accelerator goes during training steps: kernels by kind, and when it has nothing to do."""

import json
import re
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from benchmarks.gpu_training_steps import Feed, Turn, take
from training.batch import Batch
from training.loop import Loop

KINDS = (
    ("fused by the compiler", r"^triton_(?!tem)"),
    ("optimiser", r"multi_tensor|fusedsgd|fused_sgd|fusedadam|fused_adam"),
    ("normalisation", r"batch_norm|batchnorm|\bbn_|layer_norm|layernorm|gammabeta|rowwisemoments"),
    ("copies and casts", r"memcpy|memset|nchwtonhwc|nhwctonchw|copy_kernel|converttensor|catarray|fillfunctor"),
    ("attention", r"flash|fmha|sdpa|attention"),
    ("convolution", r"wgrad|dgrad|fprop|winograd|conv"),
    ("matrix product", r"gemm|gemv|cutlass|nvjet|xmma|splitk|triton_tem"),
    ("pooling", r"pool"),
    ("dropout", r"dropout"),
    ("reduction", r"reduce|softmax|norm|scan|sort|radix"),
    ("elementwise", r"elementwise|elemwise"),
)
"""Kinds of kernels with what their names contain; the first that fits counts."""
ARITHMETIC = ("attention", "convolution", "matrix product")
ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def kind(name: str) -> str:
    """What a kernel does, by its name."""
    return next((found for found, pattern in KINDS if re.search(pattern, name, re.IGNORECASE)), "other")


@dataclass(frozen=True)
class Profile:
    """Of some steps of training; times in milliseconds of one step."""

    span: float
    """From the first kernel's start to the last one's end."""
    busy: float
    """While at least one kernel ran."""
    kinds: dict[str, float]
    """By kind, its kernels' time."""
    kernels: list[tuple[str, float, float]]
    """Names with time and calls, the longest first."""
    launches: float
    """Kernels and copies."""
    waits: dict[str, float]
    """Calls of the driver that wait for the device, by name."""

    @classmethod
    def read(cls, events: Iterable[dict[str, Any]], steps: int) -> "Profile":
        """Of the events of a trace as the profiler exports it, whose times are in microseconds.

        Raises:
            ValueError: a trace without a kernel.
        """
        whole = [event for event in events if event.get("ph") == "X"]
        device = [event for event in whole if event.get("cat") in ON_DEVICE]
        if not device:
            raise ValueError("expected a trace of an accelerator, found one without a kernel")
        scale = 1e3 * steps
        kinds: dict[str, float] = defaultdict(float)
        times: dict[str, float] = defaultdict(float)
        calls = Counter(event["name"] for event in device)
        for event in device:
            kinds[kind(event["name"])] += event["dur"] / scale
            times[event["name"]] += event["dur"] / scale
        spans = [(event["ts"], event["ts"] + event["dur"]) for event in device]
        waits = Counter(event["name"] for event in whole if event["name"] in WAITS)
        return cls(
            (max(end for _, end in spans) - min(start for start, _ in spans)) / scale,
            _union(spans) / scale,
            dict(sorted(kinds.items(), key=lambda item: -item[1])),
            sorted(((name, time, calls[name] / steps) for name, time in times.items()), key=lambda item: -item[1]),
            len(device) / steps,
            {name: count / steps for name, count in waits.items()},
        )

    @property
    def arithmetic(self) -> float:
        """Milliseconds of products, convolutions and attention."""
        return sum(self.kinds.get(name, 0.0) for name in ARITHMETIC)

    def lines(self, top: int, unprofiled: float) -> list[str]:
        """For people; `unprofiled` is what a step takes without the profiler, in milliseconds."""
        waits = ", ".join(f"{name} {count:.1f}" for name, count in self.waits.items()) or "none"
        found = [
            f"a step {unprofiled:.2f} ms ({self.span:.2f} under the profiler); kernels run {self.busy:.2f} ms, idle "
            f"{max(0.0, 1 - self.busy / unprofiled):.1%} ({1 - self.busy / self.span:.1%} under the profiler)",
            f"arithmetic {self.arithmetic:.2f} ms, {self.arithmetic / self.busy:.1%} of the time kernels run; "
            f"{self.launches:.0f} launches a step; the host waits: {waits}",
            *(f"  {time:8.3f} ms {time / self.busy:6.1%}  {name}" for name, time in self.kinds.items()),
            "  longest kernels (ms, calls a step, kind, name):",
        ]
        return found + [
            f"  {time:8.3f} {count:6.1f}  {kind(name)}: {_short(name)}" for name, time, count in self.kernels[:top]
        ]


def _union(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of the spans lasts."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _short(name: str, length: int = 110) -> str:
    """A kernel's name without the spaces and scopes that all of them have."""
    plain = re.sub(r"\s+|^void|at::native::|\(anonymous namespace\)::|std::", "", name)
    return plain if len(plain) <= length else plain[:length] + "…"


def profile(loop: Loop, batches: Iterable[Batch], steps: int, keep: Path | None = None) -> Profile:
    """Profile some steps of training; `keep` is where the whole trace goes, for a viewer."""
    activities = [ProfilerActivity.CUDA] if torch.cuda.is_available() else [ProfilerActivity.CPU]
    profiler = torch.profiler.profile(activities=activities)
    take(loop, Feed(batches, Turn(steps), around=profiler))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json" if keep is None else keep
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text("utf-8"))["traceEvents"]
    return Profile.read(events, steps)


def waits(loop: Loop, batches: Iterable[Batch]) -> Counter[str]:
    """Lines of code that make the host wait for the device in one step, with how often each does."""
    places: Counter[str] = Counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        take(loop, Feed(batches, Turn(1), around=_Debugging()))
    for warning in caught:
        if "synchronizing" in str(warning.message):
            places[f"{'/'.join(Path(warning.filename).parts[-3:])}:{warning.lineno}"] += 1
    return places


class _Debugging:
    """Lets torch warn of everything that makes the host wait."""

    def __enter__(self) -> None:
        torch.cuda.set_sync_debug_mode("warn")

    def __exit__(self, *unused: object) -> None:
        torch.cuda.set_sync_debug_mode("default")
