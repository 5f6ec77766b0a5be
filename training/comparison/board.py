"""What is done, running and failed, for people: a live table on a terminal, plain lines elsewhere."""

import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from training import checkpoint
from training.comparison.cells import Cell
from training.errors import CheckpointError
from training.progress import console

REFRESH = 0.5
"""Seconds between two looks at the runs' histories."""
Status = Literal["waiting", "running", "finished", "failed"]


@dataclass
class Entry:
    """A cell on the board."""

    cell: Cell
    status: Status = "waiting"
    error: str = ""
    started: float = 0.0
    validation: float | None = None
    test: float | None = None

    def measure(self) -> None:
        """Read the accuracies of a finished run."""
        try:
            metrics = checkpoint.read_json(self.cell.folder / checkpoint.RUN)["metrics"]
            self.validation, self.test = (float(metrics[split]["accuracy"]) for split in ("validation", "test"))
        except (CheckpointError, KeyError, TypeError, ValueError):
            self.validation = self.test = None


class Board:
    """The state of every cell.

    Args:
        cells: all of the comparison.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.entries = {(cell.variant, cell.seed): Entry(cell) for cell in cells}
        self._live: Live | None = None
        self._shown = 0.0

    def entry(self, cell: Cell) -> Entry:
        """Of a cell."""
        return self.entries[cell.variant, cell.seed]

    @property
    def failed(self) -> list[Entry]:
        """The cells that ended with an error."""
        return [entry for entry in self.entries.values() if entry.status == "failed"]

    def finished(self, cell: Cell) -> None:
        """A cell is done; said only of one that ran."""
        entry = self.entry(cell)
        ran, entry.status = entry.status == "running", "finished"
        entry.measure()
        if ran and entry.validation is not None and entry.test is not None:
            took = f"{(time.monotonic() - entry.started) / 60:.1f} min"
            self._say(cell, f"validation {entry.validation:.3f}, test {entry.test:.3f}; {took}")

    def running(self, cell: Cell, how: str) -> None:
        """A cell is being trained."""
        entry = self.entry(cell)
        entry.status, entry.started = "running", time.monotonic()
        self._say(cell, how)

    def fail(self, cell: Cell, error: str) -> None:
        """A cell ended with an error."""
        entry = self.entry(cell)
        entry.status, entry.error = "failed", error
        self._say(cell, f"failed: {error} (see {cell.log})")

    def wait(self, cell: Cell, why: str) -> None:
        """A cell that ran goes back to those that wait."""
        self.entry(cell).status = "waiting"
        self._say(cell, why)

    def _say(self, cell: Cell, what: str) -> None:
        done = sum(entry.status == "finished" for entry in self.entries.values())
        console.print(f"[{done}/{len(self.entries)}] {cell.name}: {what}", markup=False)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the live table, on a terminal, for as long as this lasts."""
        if not console.is_terminal:
            yield
            return
        with Live(self.render(), console=console, auto_refresh=False) as self._live:
            yield
            self._live.update(self.render(), refresh=True)
        self._live = None

    def refresh(self) -> None:
        """Bring the live table up to date, now and then."""
        if self._live is not None and time.monotonic() - self._shown > REFRESH:
            self._shown = time.monotonic()
            self._live.update(self.render(), refresh=True)

    def render(self) -> Table:
        """A row for each variant."""
        table = Table("variant", "done", "running", "failed", "validation %", "test %")
        by_variant: dict[str, list[Entry]] = {}
        for (name, _), entry in self.entries.items():
            by_variant.setdefault(name, []).append(entry)
        for name, entries in by_variant.items():
            done = [entry for entry in entries if entry.status == "finished"]
            running = [
                f"seed {entry.cell.seed}: {entry.cell.epochs_done()}/{entry.cell.config.epochs}"
                for entry in entries
                if entry.status == "running"
            ]
            failed = sum(entry.status == "failed" for entry in entries)
            table.add_row(
                escape(name),
                f"{len(done)}/{len(entries)}",
                ", ".join(running),
                str(failed) if failed else "",
                _mean([entry.validation for entry in done]),
                _mean([entry.test for entry in done]),
            )
        return table


def _mean(values: list[float | None]) -> str:
    """Mean and, of two or more, standard deviation, in percent."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return ""
    return f"{statistics.mean(known):.1f}" + (f" ± {statistics.stdev(known):.1f}" if len(known) > 1 else "")
