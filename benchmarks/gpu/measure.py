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
    made: float
    """When, by `time.monotonic`, what is not made yet is done without."""
    deadline: float
    """When nothing more is begun."""

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
    try:
        precisions, failed = _made(holders, plan)
        for name in pairings:
            mine = {family: holders[name, family] for family in plan.families if (name, family) in precisions}
            found = [entry for entry in failed if entry.pairing == name]
            operations = float("nan")
            try:
                operations = _asked(mine["eager"], "operations")
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
                holders.pop((name, family)).stop()
            yield name, operations, found
    finally:
        for holder in holders.values():
            holder.stop()


Key = tuple[str, str]
"""Names of a pairing and of a family."""


def _made(holders: dict[Key, Any], plan: Plan) -> tuple[dict[Key, dict[str, str]], list[Measured]]:
    """Precisions by title of what could be made in time, and what could not."""
    for (name, family), holder in holders.items():
        holder.ask("make", plan.sizes(name, family))
    precisions: dict[Key, dict[str, str]] = {}
    failed: list[Measured] = []
    begun = time.monotonic()
    for (name, family), holder in sorted(holders.items(), key=lambda item: item[0][1].startswith("compile")):
        try:
            precisions[name, family] = holder.answer(max(1.0, plan.made - time.monotonic()))
            print(f"made after {time.monotonic() - begun:.0f} s: {holder.title}", flush=True)
        except RuntimeError as error:
            print(f"not made: {error}", flush=True)
            failed.append(Measured(name, 0, family, "", failed=str(error)))
            holder.stop()
    return precisions, failed


def _one_size(name: str, batch: int, holders: dict[str, Any], precisions: dict[str, str], plan: Plan) -> list[Measured]:
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
    for holder, entry in found.values():
        if not entry.failed:
            _check(entry, expected, holder)
    for copies in (False, True):
        for number in range(plan.rounds):
            for holder, entry in list(found.values())[:: 1 if number % 2 == 0 else -1]:
                if not entry.failed:
                    _time(entry, holder, plan.turn, copies)
    for holder in holders.values():
        try:
            _asked(holder, "close")
        except Lost:
            continue
    return [entry for _, entry in found.values()]


def _asked(holder: Any, what: str, *given: Any) -> Any:
    holder.ask(what, *given)
    return holder.answer(PATIENCE)


def _check(entry: Measured, expected: list[Array], holder: Any) -> None:
    try:
        found: list[Array] = _asked(holder, "check", entry.title, entry.batch)
    except RuntimeError as error:
        entry.failed = str(error)
        return
    entry.error = relative_error(found, expected)
    entry.labels = float(np.mean(found[0].argmax(axis=1) == expected[0].argmax(axis=1)))
    if not entry.error <= LIMITS[entry.precision]:
        entry.failed = f"wrong: relative error {entry.error:.2g}"


def _time(entry: Measured, holder: Any, turn: float, copies: bool) -> None:
    try:
        found = statistics.median(_asked(holder, "time", entry.title, turn, copies))
    except RuntimeError as error:
        entry.failed = str(error)
        return
    (entry.with_copies if copies else entry.seconds).append(found)
