"""The measurement of one model: all systems started once, asleep unless it is their turn, in rounds."""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.call import Call, Figures
from benchmarks.load import LONGEST, closed_loop, open_loop
from benchmarks.serving_samples import Load
from benchmarks.systems import OURS, TRITON, Running, environment, started

LIMIT = "in-process"
CALLERS = (1, 2, 4, 8)
"""Of the limit, as far as they are not more than the connections; the best of them is the limit."""
SHARE = 0.7
"""Of the capacity at `CAPACITY` connections, for the open loop."""
CAPACITY = 8
ENOUGH = 200
"""Requests of an open loop at least: with fewer, the 99th of a hundred is the worst."""


@dataclass(frozen=True)
class Point:
    """One system under one load in one round."""

    rate: float
    """Right answers a second."""
    median: float
    """Milliseconds."""
    late: float
    """Milliseconds, the 99th of a hundred."""
    cpu: float | None = None
    """Milliseconds of processor time for each answer, of all its processes; None without answers."""
    errors: int = 0
    mismatches: int = 0
    refusals: str = ""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    systems: tuple[str, ...]
    connections: tuple[int, ...] = (1, 8, 32)
    rounds: int = 5
    seconds: float = 5.0
    warmup: float = 0.7
    threads: int = 2


@dataclass
class Measured:
    """Everything found out about one model; every list has one entry for each round."""

    points: dict[tuple[str, int], list[Point]] = field(default_factory=lambda: defaultdict(list))
    """By system and connections."""
    paced: dict[str, list[Point]] = field(default_factory=lambda: defaultdict(list))
    """Ours in the open loop, by `even` and `random`."""
    memory: dict[str, float] = field(default_factory=dict)
    """Megabytes of each system's processes after its last turn."""

    def ratios(self, one: str, other: str, connections: int) -> list[float]:
        """How many times the other's rate one reaches, by round; empty where either was not measured."""
        pairs = zip(self.points[one, connections], self.points[other, connections], strict=False)
        return [a.rate / b.rate for a, b in pairs if b.rate]

    def wrong(self, name: str) -> int:
        """Errors and mismatches of a system."""
        found = [point for (system, _), points in self.points.items() if system == name for point in points]
        found += [point for points in self.paced.values() for point in points] if name == OURS else []
        return sum(point.errors + point.mismatches for point in found)


def median(values: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    return statistics.median(values) if values else float("nan")


def measure(load: Load, folder: Path, calls: Sequence[Call], plan: Plan, say: Callable[[str], None]) -> Measured:
    """Rounds over connections and systems; every other round goes through the systems backwards.

    Args:
        load: the model and its data.
        folder: of all models.
        calls: requests, with the answers they must get.
        plan: what is measured, and how long.
        say: told what goes on.
    """
    found = Measured()
    with ExitStack() as stack:
        running: dict[str, Running] = {}
        for name in plan.systems:
            if name != LIMIT:
                running[name] = stack.enter_context(
                    started(name, folder / load.name, "_".join(load.modalities), plan.threads)
                )
                running[name].sleep()
        for number in range(plan.rounds):
            order = list(plan.systems) if number % 2 == 0 else list(reversed(plan.systems))
            for connections in plan.connections:
                for name in order:
                    if name == LIMIT:
                        point = _limit(load, folder, connections, plan)
                    elif name == TRITON:
                        point = _called(running[name], [load.name, "--folder", str(folder)], connections, plan)
                    else:
                        point = _closed(running[name], calls, connections, plan)
                    found.points[name, connections].append(point)
                    if name == OURS and connections == CAPACITY:
                        _pace(running[name], calls, point.rate, plan, found)
            say(f"{load.name}: round {number + 1} of {plan.rounds}")
        for name, system in running.items():
            found.memory[name] = system.memory() / 1e6
    return found


def _closed(running: Running, calls: Sequence[Call], connections: int, plan: Plan) -> Point:
    return _awake(running, lambda: closed_loop(running.target, calls, connections, plan.seconds, plan.warmup))


def _pace(running: Running, calls: Sequence[Call], capacity: float, plan: Plan, found: Measured) -> None:
    """The open loop, evenly and at random moments, as long as it takes for enough requests."""
    if not capacity:
        return
    rate = SHARE * capacity
    seconds = min(max(plan.seconds, ENOUGH / rate), LONGEST / 2)
    for kind in ("even", "random"):
        point = _awake(
            running,
            lambda even=kind == "even": open_loop(  # type: ignore[misc]
                running.target, calls, rate, seconds, even, warmup=plan.warmup
            ),
        )
        found.paced[kind].append(point)


def _awake(running: Running, work: Callable[[], Figures]) -> Point:
    running.wake()
    before = running.cpu()
    figures = work()
    cpu = running.cpu() - before
    running.sleep()
    each = 1e3 * cpu / figures.answered if figures.answered else None
    refusals = ", ".join(f"{count} × {reason}" for reason, count in figures.refusals.items())
    late = figures.percentile(0.99)
    return Point(figures.rate, figures.percentile(0.5), late, each, figures.errors, figures.mismatches, refusals)


def _called(running: Running, model: Sequence[str], callers: int, plan: Plan) -> Point:
    """Triton, with the samples decoded by its callers, whose processor time counts."""
    options = {"url": f"grpc://{running.target.host}:{running.target.port + 1}", "callers": callers}
    options |= {"seconds": plan.seconds, "warmup": plan.warmup, "threads": plan.threads}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.peers.triton_client", *model, *arguments]
    running.wake()
    before = running.cpu()
    done = subprocess.run(command, env=environment(""), capture_output=True, text=True, check=True)
    cpu = running.cpu() - before
    running.sleep()
    found = json.loads(done.stdout)
    each = 1e3 * (cpu + found["cpu"]) / found["answered"] if found["answered"] else None
    refusals = ", ".join(f"{count} × {reason}" for reason, count in found["refusals"].items())
    errors = sum(found["refusals"].values())
    return Point(found["rate"], found["median"], found["late"], each, errors, found["mismatches"], refusals)


def _limit(load: Load, folder: Path, connections: int, plan: Plan) -> Point:
    """The best of one caller and a pool of callers, in a process of its own."""
    callers = [str(count) for count in CALLERS if count <= connections]
    arguments = [load.name, "--folder", str(folder), "--threads", str(plan.threads), "--seconds", str(plan.seconds)]
    command = [sys.executable, "-m", "benchmarks.peers.in_process", *arguments, "--callers", *callers]
    done = subprocess.run(command, env=environment(""), capture_output=True, text=True, check=True)
    best = max(json.loads(done.stdout), key=lambda limit: float(limit["rate"]))
    return Point(best["rate"], best["median"], best["late"], best["cpu"])
