"""The loop's own steps, some of them timed: its loader is replaced by one that knows when a step begins and ends."""

import itertools
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch

from benchmarks.timing import wait
from training.batch import Batch
from training.config import Config
from training.loop import Loop
from training.methods.joint import Joint
from training.preparation import Prepared

LEAD = 2
"""Steps of every turn that are not timed: the loop's first one also measures how strongly each term pulls."""


@dataclass(frozen=True)
class Variant:
    """How the arithmetic is done."""

    precision: Literal["fp32", "tf32", "bf16", "fp16"]
    """Float32 as torch does it unless told otherwise, with products rounded as the matrix units have it, or mixed."""
    compiled: bool = False

    @classmethod
    def named(cls, text: str) -> "Variant":
        """Read "bf16" or "bf16+compile".

        Raises:
            ValueError: another precision, or something else behind it.
        """
        precision, plus, compiled = text.partition("+")
        if precision not in ("fp32", "tf32", "bf16", "fp16") or (plus and compiled != "compile"):
            raise ValueError(f"expected fp32, tf32, bf16 or fp16, with or without +compile, found {text!r}")
        return cls(precision, bool(plus))  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.precision}+compile" if self.compiled else self.precision


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
        wait()
        with self.around, self.turn:
            for _ in range(self.turn.steps):
                began = time.perf_counter()
                batch = next(batches)
                self.turn.waiting += time.perf_counter() - began
                yield batch
            wait()


def take(loop: Loop, feed: Feed) -> Turn:
    """Train on what the feed gives, by the loop's own code for an epoch."""
    loader = loop.loader
    loop.loader = cast(Any, feed)
    loop.progress.step, loop.progress.losses = 0, {}
    try:
        loop._epoch(lambda: None)
    finally:
        loop.loader = loader
        loop.progress.step, loop.progress.losses = 0, {}
    loop.method.diagnostics()  # as at an epoch's end: it starts its figures afresh
    return feed.turn


def resident(loop: Loop, count: int) -> list[Batch]:
    """The first batches of the loop's loader, augmented, on its device."""
    loop.set_epoch(0)
    return [batch.to(loop.accelerator.device) for batch in itertools.islice(loop.loader, count)]


def loops(config: Config, prepared: Prepared, variant: Variant, folder: Path) -> dict[str, Loop]:
    """A loop of joint training and one of InfoBridge, alike in everything else."""
    torch.set_float32_matmul_precision("high" if variant.precision == "tf32" else "highest")
    precision: Any = {"fp32": "no", "tf32": "no"}.get(variant.precision, variant.precision)
    bridged = replace(config, precision=precision, compile=variant.compiled, tracker=(), method="infobridge")
    joint = replace(bridged, method="joint", method_options=Joint.Options())
    return {name: Loop(own, prepared, folder) for name, own in (("joint", joint), ("infobridge", bridged))}
