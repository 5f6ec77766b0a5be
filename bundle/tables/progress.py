"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console

SECONDS = 10.0
"""Between two lines."""


class RunProgress:
    """Counts rows and shows them, with the rate, the errors and the time left. A context manager.

    Args:
        total: rows of the table.
        done: those that had come back before this run.
        failed: those of them that are errors.
        console: where to; standard error.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        total: int,
        done: int,
        failed: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._done, self._failed = total, done, failed
        self._console = console or Console(stderr=True, highlight=False)
        self._clock, self._before = clock, done
        self._started = self._said = clock()
        self._bar: progress.Progress | None = None
        if self._console.is_terminal:
            self._bar = progress.Progress(
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[told]}"),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=total, completed=done, told="")

    def __enter__(self) -> Self:
        """Show it."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show it for the last time."""
        if self._bar is not None:
            self._bar.stop()
        elif self._done > self._before:
            self._say()

    def advance(self, failed: int, rows: int = 1) -> None:
        """So many rows more have come back, and so many of them failed."""
        self._done += rows
        self._failed += failed
        if self._bar is not None:
            self._bar.update(self._task, advance=rows, told=self._told())
        elif self._clock() - self._said >= SECONDS:
            self._say()

    def _say(self) -> None:
        self._said = self._clock()
        self._console.print(f"{self._done} of {self._total} rows, {self._told()}", soft_wrap=True)

    def _told(self) -> str:
        rate = (self._done - self._before) / max(self._clock() - self._started, 1e-9)
        left = (self._total - self._done) / rate if rate else float("inf")
        return f"{rate:.1f} rows/s, {self._failed} errors, {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
