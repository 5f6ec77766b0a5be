"""Serve at half load for long, and fail if memory, files or threads grow: `python -m benchmarks.soak --minutes 30`."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import psutil
import tyro
from rich.console import Console
from rich.table import Table

from tests.serving.reliability.conftest import Sturdy, build_bundles, start
from tests.serving.reliability.mixture import Mixture

MEGABYTE = 1e6
LOAD = 0.5
"""Of the capacity, which is measured first."""
CLIENTS = 8
ROUNDING = 0.5
"""Of numbers that are counted, the line that is fitted is not a whole one."""
MOST = 64
"""Requests under way at once."""


@dataclass(frozen=True)
class Bounds:
    """What may grow, and by how much, over the time that is measured."""

    megabytes: float = 30.0
    """By the line fitted to the resident memory."""
    files: int = 2
    threads: int = 2
    temporary: int = 0


@dataclass(frozen=True)
class Reading:
    """The worker at one moment."""

    seconds: float
    megabytes: float
    files: int
    threads: int
    temporary: int
    """Files in its folder for temporary ones."""


@dataclass(frozen=True)
class Report:
    """What was seen."""

    readings: list[Reading]
    idle: Reading
    """Afterwards, when nobody asks any more."""
    rate: float
    answered: int
    busy: int
    wrong: list[str]

    def growth(self, name: str) -> float:
        """Of one quantity over the time that was measured, by the line fitted to it."""
        seconds = np.array([reading.seconds for reading in self.readings])
        slope = np.polyfit(seconds, [getattr(reading, name) for reading in self.readings], 1)[0]
        return float(slope * (seconds[-1] - seconds[0]))

    def failures(self, bounds: Bounds) -> list[str]:
        """What was not as it must be."""
        found = [f"{len(self.wrong)} wrong answers, such as {self.wrong[0]}"] if self.wrong else []
        for name, most in asdict(bounds).items():
            growth = self.growth(name)
            if growth > most + ROUNDING:
                found.append(f"{name}: grew by {growth:.1f}, at most {most} is right")
        first = self.readings[0]
        for name in ("files", "threads", "temporary"):
            if getattr(self.idle, name) > getattr(first, name) + getattr(bounds, name):
                found.append(f"{name}: {getattr(self.idle, name)} are left, {getattr(first, name)} were there")
        return found


def worker_of(sturdy: Sturdy) -> psutil.Process:
    """The process that answers."""
    [found] = psutil.Process(sturdy.server.process.pid).children(recursive=True)
    return found


def read(sturdy: Sturdy, worker: psutil.Process, began: float) -> Reading:
    """The worker now."""
    with worker.oneshot():
        memory, threads = worker.memory_info().rss / MEGABYTE, worker.num_threads()
    temporary = sum(1 for _ in sturdy.temporary.rglob("*"))
    connections = len(worker.net_connections("tcp"))
    return Reading(time.monotonic() - began, memory, worker.num_fds() - connections, threads, temporary)


async def capacity(mixture: Mixture, seconds: float) -> float:
    """Requests a second, when a few clients ask again as soon as they are answered."""
    began, count = time.monotonic(), 0

    async def client() -> None:
        nonlocal count
        while time.monotonic() - began < seconds:
            await mixture.ask()
            count += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return count / (time.monotonic() - began)


async def load(mixture: Mixture, rate: float, seconds: float, tick: Callable[[], None]) -> None:
    """So many requests a second, evenly; `tick` is called once a second."""
    began, count, ticks = time.monotonic(), 0, 0
    tasks: set[asyncio.Task[None]] = set()
    while (elapsed := time.monotonic() - began) < seconds:
        while count < elapsed * rate:
            count += 1
            if len(tasks) < MOST:
                task = asyncio.create_task(mixture.ask())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        if elapsed >= ticks:
            ticks += 1
            await asyncio.to_thread(tick)
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)


async def soak(sturdy: Sturdy, seconds: float, warm: float, idle: float) -> Report:
    """Load the server for `warm` seconds unobserved, and for `seconds` observed; then leave it alone for `idle`."""
    mixture = Mixture(sturdy.address, sturdy.key_header)
    rate = LOAD * await capacity(mixture, warm / 2)
    await load(mixture, rate, warm / 2, lambda: None)
    worker, began = worker_of(sturdy), time.monotonic()
    readings: list[Reading] = []
    await load(mixture, rate, seconds, lambda: readings.append(read(sturdy, worker, began)))
    await mixture.close()
    await asyncio.sleep(idle)
    last = read(sturdy, worker, began)
    return Report(readings, last, rate, mixture.answered, mixture.busy, mixture.wrong)


def show(report: Report) -> None:
    """A table of the first, the last, the least and the most of everything, and what it grew by."""
    table = Table(title=f"{report.answered:,} answers, {report.busy:,} of them 503, at {report.rate:.0f} a second")
    for column in ("", "first", "least", "most", "last", "growth", "idle"):
        table.add_column(column, justify="right")
    for field in fields(Reading)[1:]:
        values = [getattr(reading, field.name) for reading in report.readings]
        shown = (values[0], min(values), max(values), values[-1], report.growth(field.name))
        table.add_row(field.name, *(f"{value:.1f}" for value in shown), f"{getattr(report.idle, field.name):.1f}")
    Console(width=100).print(table)


@dataclass(frozen=True)
class Options:
    """How long."""

    minutes: float = 30.0
    """That are measured; a tenth of it, at least half a minute, is for warming up."""
    idle: float = 30.0
    """Seconds to wait at the end."""


def main(options: Options) -> int:
    """Start a server of tiny bundles, load it, and report; 1 if something grew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextmanager(start)(folder, build_bundles(folder / "bundles")) as sturdy:
            seconds = 60 * options.minutes
            report = asyncio.run(soak(sturdy, seconds, max(30.0, seconds / 10), options.idle))
            show(report)
            failures = report.failures(Bounds())
            for failure in failures:
                print(f"failed: {failure}")
            return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
