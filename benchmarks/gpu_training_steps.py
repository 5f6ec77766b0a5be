"""The loop's own steps, some of them timed: its loader is replaced by one that knows when a step begins and ends."""

import itertools
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.state import AcceleratorState
from torch._functorch import config as functorch

from training.batch import Batch
from training.config import Config
from training.loop import Loop
from training.methods.joint import Joint
from training.preparation import Prepared

Compiled = Literal["no", "layers", "encoders"]
LEAD = 2
"""Steps of every turn that are not timed: the loop's first one also measures how strongly each term pulls."""


@dataclass(frozen=True)
class Variant:
    """How the arithmetic is done."""

    precision: Literal["fp32", "tf32", "bf16", "fp16"]
    """Float32 as torch does it unless told otherwise, with products rounded as the matrix units have it, or mixed."""
    compiled: Compiled = "no"
    """Whether torch.compile takes nothing, each repeated layer of an encoder by itself, or each encoder as a whole."""

    @classmethod
    def named(cls, text: str) -> "Variant":
        """Read "bf16" or "bf16+layers".

        Raises:
            ValueError: another precision, or another part to compile.
        """
        precision, _, compiled = text.partition("+")
        if precision not in ("fp32", "tf32", "bf16", "fp16") or compiled not in ("", "layers", "encoders"):
            raise ValueError(f"expected fp32, tf32, bf16 or fp16, and +layers or +encoders if compiled, found {text!r}")
        return cls(precision, compiled or "no")  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.precision if self.compiled == "no" else f"{self.precision}+{self.compiled}"


@dataclass
class Turn(AbstractContextManager["Turn"]):
    """What some steps took; the device has nothing left to do when it begins and when it ends."""

    steps: int
    seconds: float = 0.0
    waiting: float = 0.0
    """Seconds of them until the next batch was there."""
    began: float = 0.0

    def __enter__(self) -> "Turn":
        self.began = time.perf_counter()
        return self

    def __exit__(self, *unused: object) -> None:
        self.seconds = time.perf_counter() - self.began

    @property
    def each(self) -> float:
        """Seconds of one step."""
        return self.seconds / self.steps


class Feed:
    """Stands where a loop has its loader: `LEAD` batches or more first, then those of the turn.

    Args:
        source: of the batches.
        turn: to be timed.
        lead: batches before it.
        around: entered with the turn, a profiler for instance.
    """

    def __init__(
        self, source: Iterable[Batch], turn: Turn, lead: int = LEAD, around: AbstractContextManager[Any] | None = None
    ) -> None:
        self.source = source
        self.turn = turn
        self.lead = lead
        self.around = nullcontext() if around is None else around

    def __len__(self) -> int:
        return self.lead + self.turn.steps

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.source)
        yield from itertools.islice(batches, self.lead)
        synchronize()
        with self.around, self.turn:
            for _ in range(self.turn.steps):
                began = time.perf_counter()
                batch = next(batches)
                self.turn.waiting += time.perf_counter() - began
                yield batch
            synchronize()


def take(loop: Loop, feed: Feed) -> Turn:
    """Train on what the feed gives, by the loop's own code for an epoch."""
    loader = loop.loader
    loop.loader = feed
    try:
        loop._epoch(lambda: None)
    finally:
        loop.loader = loader
    loop.method.diagnostics()  # as at an epoch's end: it starts its figures afresh
    return feed.turn


def resident(loop: Loop, count: int) -> list[Batch]:
    """The first batches of the loop's loader, augmented, on its device."""
    loop.set_epoch(0)
    return [batch.to(loop.accelerator.device) for batch in itertools.islice(loop.loader, count)]


def loops(config: Config, prepared: Prepared, variant: Variant, folder: Path) -> dict[str, Loop]:
    """A loop of joint training and one of InfoBridge, alike in everything else, not yet compiled."""
    AcceleratorState._reset_state(reset_partial_state=True)  # one process has one precision, unless it is told to forget
    torch.set_float32_matmul_precision("high" if variant.precision == "tf32" else "highest")
    precision: Any = {"fp32": "no", "tf32": "no"}.get(variant.precision, variant.precision)
    bridged = replace(config, precision=precision, method="infobridge")
    joint = replace(bridged, method="joint", method_options=Joint.Options())
    return {name: Loop(own, prepared, folder) for name, own in (("joint", joint), ("infobridge", bridged))}


def compile_parts(loop: Loop, compiled: Compiled) -> None:
    """Compile in place, so that parameters keep their names."""
    functorch.donated_buffer = False  # the loop goes backwards several times through the graph of its first step
    for encoder in loop.model.encoders.values():
        if compiled == "encoders":
            encoder.compile()
        elif compiled == "layers":
            for layer in _layers(encoder):
                layer.compile()


def _layers(encoder: torch.nn.Module) -> list[torch.nn.Module]:
    """The largest parts that repeat: those that a list of modules of one class holds; the encoder itself without any."""
    lists = [part for part in encoder.modules() if isinstance(part, torch.nn.ModuleList | torch.nn.Sequential)]
    repeated = [list(part) for part in lists if len(part) > 1 and len({type(layer) for layer in part}) == 1]
    inner = {id(found) for part in repeated for layer in part for found in layer.modules() if found is not layer}
    return [layer for part in repeated for layer in part if id(layer) not in inner] or [encoder]


def synchronize() -> None:
    """Wait until the accelerator, where there is one, has done everything it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
