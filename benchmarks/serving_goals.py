"""What is claimed of the service's speed, and whether it held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.serving_rounds import CAPACITY, LIMIT, Measured, median
from benchmarks.systems import OURS, TRITON

AT_LEAST: dict[str, dict[tuple[str, ...], float]] = {
    "large": {(LIMIT,): 0.85, ("fastapi-torch",): 1.5, (TRITON,): 1.0},
    "small": {
        ("litserve",): 1.3,
        ("bentoml-typed", "bentoml-batchable"): 1.5,
        ("starlette",): 0.9,
        (TRITON,): 1.0,
    },
}
"""By size: how many times the rate of the best of these systems ours must reach at `CAPACITY` connections."""
TAIL = 3.0
"""The 99th of a hundred latencies against the median, in the open loop."""
EXTRA = 3.0
"""Milliseconds above the in-process time, at one connection."""
START = 5.0
"""Seconds to readiness."""


@dataclass(frozen=True)
class Verdict:
    """One goal."""

    goal: str
    measured: str
    held: bool

    def line(self) -> str:
        """For people."""
        return f"- goal: {self.goal}; measured: {self.measured}; {'holds' if self.held else 'DOES NOT HOLD'}"


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """A median, and in brackets the least and the most."""
    if not values:
        return "–"
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def judge(size: str, found: Measured) -> Iterator[Verdict]:
    """The goals of one model whose systems were all measured."""
    for names, least in AT_LEAST[size].items():
        measured = {name: found.ratios(OURS, name, CAPACITY) for name in names}
        measured = {name: ratios for name, ratios in measured.items() if ratios}
        if measured:
            name, ratios = min(measured.items(), key=lambda entry: median(entry[1]))
            goal = f"at {CAPACITY} connections at least {least:g} × {' and '.join(names)}"
            yield Verdict(goal, f"{spread(ratios)} × {name}", median(ratios) >= least)
    if found.paced:
        tails = {kind: [point.late / point.median for point in points] for kind, points in found.paced.items()}
        paced = ", ".join(
            f"{spread(ratios)} at {kind} arrivals (p50 {median([p.median for p in found.paced[kind]]):.1f} ms)"
            for kind, ratios in tails.items()
        )
        yield Verdict(f"p99 at most {TAIL:g} × p50 at 70 % of capacity, even", paced, median(tails["even"]) <= TAIL)
    pairs = zip(found.points[OURS, 1], found.points[LIMIT, 1], strict=False)
    extra = [ours.median - limit.median for ours, limit in pairs]
    if extra:
        goal = f"at one connection at most {EXTRA:g} ms above the in-process time"
        yield Verdict(goal, f"{spread(extra)} ms", median(extra) <= EXTRA)
    wrong = found.wrong(OURS)
    yield Verdict("every answer is right", f"{wrong} errors and other answers", wrong == 0)


def judge_start(
    seconds: Sequence[float], cpu: Sequence[float], libraries: set[str], modules: set[str]
) -> Iterator[Verdict]:
    """The goals of the start: its length, the processor time in it, what it mapped and what it imported."""
    found = f"{spread(seconds)} s, with {spread(cpu)} s of processor time"
    yield Verdict(f"ready within {START:g} s", found, median(seconds) < START)
    loaded = sorted(libraries | modules)
    goal = "torch and transformers are never loaded (mapped files of the processes, modules after the import)"
    yield Verdict(goal, ", ".join(loaded) or "neither", not loaded)
