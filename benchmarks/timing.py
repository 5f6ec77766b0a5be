"""Times of things that are compared: taken in turns, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable

import torch

Task = Callable[[], object]


def repeated(task: Task, times: int) -> Task:
    """A short task several times over: beside a long one its turns last as long, and are interrupted as often."""

    def several() -> None:
        for _ in range(times):
            task()

    return several


def interleaved(tasks: dict[str, Task], rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each task in each round; every other round goes through the tasks backwards.

    Args:
        tasks: by name; what they return is ignored.
        rounds: times that each is measured.
        warmup: rounds that are run first and not measured.
    """
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(-warmup, rounds):
        order = list(tasks) if number % 2 == 0 else list(reversed(tasks))
        for name in order:
            wait()
            start = time.perf_counter()
            tasks[name]()
            wait()
            if number >= 0:
                found[name].append(time.perf_counter() - start)
    return found


def median_ratio(one: list[float], other: list[float]) -> float:
    """Median over the rounds of how many times `other` the measure `one` is."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def milliseconds(seconds: list[float]) -> float:
    """The median, in milliseconds."""
    return 1e3 * statistics.median(seconds)


def wait() -> None:
    """Until the accelerator, where there is one, has done everything it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
