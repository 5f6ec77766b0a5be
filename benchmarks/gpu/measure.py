"""Every variant of every pairing: made side by side, checked against torch in 32 bits, then timed in turns."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.gpu.worker import Lost, relative_error
from bundle.modalities import Array

BASE = "torch eager fp32"
LIMITS = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 1e-1}
"""Largest relative error, by precision; far over rounding, far under a wrong answer."""
PATIENCE = 120.0
"""Seconds that one answer may take once everything is made."""


@dataclass
class Measured:
    """One variant at one size of a batch."""

    pairing: str
    batch: int
    title: str
    precision: str
    failed: str = ""
    """Why it was not timed; empty where it was."""
    error: float = float("nan")
    """Relative, the largest of all outputs."""
    labels: float = float("nan")
    """Share of the samples whose largest logit is the same label's."""
    seconds: list[float] = field(default_factory=list)
    """Medians of the rounds, without copies."""
    with_copies: list[float] = field(default_factory=list)
    """Medians of the rounds, with the copies from the host and back."""

    @property
    def time(self) -> float:
        """Seconds without copies."""
        return statistics.median(self.seconds)

    @property
    def time_with_copies(self) -> float:
        """Seconds with copies."""
        return statistics.median(self.with_copies)


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    families: Sequence[str]
    batches: Sequence[int]
    compiled: Sequence[int]
    """Sizes of a batch that torch.compile is made for."""
    rounds: int
    turn: float
    """Seconds of each turn."""
    deadline: float
    """When, by `time.monotonic`, nothing more is begun."""

    def sizes(self, pairing: str, family: str) -> list[int]:
        """Batches of a family; the encoder alone is measured at the ends of the range only."""
        ends = {min(self.batches), max(self.batches)}
        return [
            batch
            for batch in self.batches
            if (pairing != "vit" or batch in ends) and (not family.startswith("compile") or batch in self.compiled)
        ]


def measure(
    start: Callable[[str, str], Any], pairings: Sequence[str], plan: Plan
) -> Iterator[tuple[str, float, list[Measured]]]:
    """For each pairing its name, the operations of a sample, and what was measured; failures are among it.

    Args:
        start: makes the holder of a pairing's family, in a process of its own or not.
        pairings: names.
        plan: what is measured.
    """
    holders = {(name, family): start(name, family) for name in pairings for family in plan.families}
    for (name, family), holder in holders.items():
        holder.ask("make", plan.sizes(name, family))
    precisions: dict[tuple[str, str], dict[str, str]] = {}
    failed: dict[str, list[Measured]] = {name: [] for name in pairings}
    for (name, family), holder in holders.items():
        try:
            precisions[name, family] = holder.answer(max(1.0, plan.deadline - time.monotonic()))
            print(f"made: {holder.title}", flush=True)
        except RuntimeError as error:
            failed[name].append(Measured(name, 0, family, "", failed=str(error)))
    for name in pairings:
        mine = {family: holders[name, family] for family in plan.families if (name, family) in precisions}
        found = failed[name]
        operations = float("nan")
        try:
            mine["eager"].ask("operations")
            operations = mine["eager"].answer(PATIENCE)
            for batch in plan.sizes(name, "eager"):
                if time.monotonic() > plan.deadline:
                    found.append(Measured(name, batch, "all", "", failed="no time was left"))
                    continue
                used = {family: one for family, one in mine.items() if batch in plan.sizes(name, family)}
                titles = {title: kind for family in used for title, kind in precisions[name, family].items()}
                found += _one_size(name, batch, used, titles, plan)
        except (KeyError, RuntimeError) as error:
            found.append(Measured(name, 0, BASE, "fp32", failed=str(error)))
        for family in plan.families:
            holders[name, family].stop()
        yield name, operations, found


def _one_size(
    name: str, batch: int, holders: dict[str, Any], precisions: dict[str, str], plan: Plan
) -> list[Measured]:
    found: dict[str, tuple[Any, Measured]] = {}
    for holder in holders.values():
        holder.ask("open", batch)
    for family, holder in list(holders.items()):
        try:
            for title, reason in holder.answer(PATIENCE).items():
                found[title] = holder, Measured(name, batch, title, precisions[title], failed=reason)
        except RuntimeError as error:
            found[family] = holder, Measured(name, batch, family, "", failed=str(error))
    expected: list[Array] = _asked(found[BASE][0], "check", BASE, batch)
    for title, (holder, entry) in found.items():
        if not entry.failed:
            _guarded(entry, lambda: _check(entry, expected, _asked(holder, "check", title, batch)))
    for copies in (False, True):
        for number in range(plan.rounds):
            order = list(found.items()) if number % 2 == 0 else list(reversed(found.items()))
            for title, (holder, entry) in order:
                if not entry.failed:
                    taken = entry.with_copies if copies else entry.seconds
                    _guarded(
                        entry, lambda: taken.append(statistics.median(_asked(holder, "time", title, plan.turn, copies)))
                    )
    for holder in holders.values():
        try:
            _asked(holder, "close")
        except Lost:
            continue
    return [entry for _, entry in found.values()]


def _asked(holder: Any, what: str, *given: Any) -> Any:
    holder.ask(what, *given)
    return holder.answer(PATIENCE)


def _guarded(entry: Measured, task: Callable[[], object]) -> None:
    try:
        task()
    except RuntimeError as error:
        entry.failed = str(error)


def _check(entry: Measured, expected: list[Array], found: list[Array]) -> None:
    entry.error = relative_error(found, expected)
    entry.labels = float(np.mean(found[0].argmax(axis=1) == expected[0].argmax(axis=1)))
    if not entry.error <= LIMITS[entry.precision]:
        entry.failed = f"wrong: relative error {entry.error:.2g}"
