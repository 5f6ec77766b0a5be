"""Runs the cells that are not finished, several at once, each in a process of its own."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from training import checkpoint
from training.comparison.board import Board
from training.comparison.cells import Cell

PATIENCE = 30.0
"""Seconds that an interrupted training has to end."""
PAUSE = 0.1
RESUMED = "Resuming "
"""How a training that found its state begins."""
REFUSED = 2
"""Exit code of a training that says what is wrong; one that was killed or broke down has another."""


@dataclass
class Job:
    """A training that runs."""

    cell: Cell
    process: subprocess.Popen[bytes]
    slot: int
    resumed: bool
    said_before: int
    """Bytes in the log before it started."""

    def said(self) -> str:
        """What it wrote to its log."""
        with self.cell.log.open("rb") as file:
            file.seek(self.said_before)
            return file.read().decode("utf-8", errors="replace")

    def finished(self) -> bool:
        """Whether it trained to its end; run.json alone may be of the run that it was to replace."""
        return self.process.returncode == 0 and (self.cell.folder / checkpoint.RUN).exists()

    def cannot_resume(self) -> bool:
        """Whether it refused the state it was to go on from; for want of memory it may go on another time."""
        return self.resumed and self.process.returncode == REFUSED and RESUMED not in self.said()


class Runner:
    """Trains cells.

    Args:
        board: is told of everything.
        environments: one for each process at once, added to ours.
        lock: a file descriptor that the trainings keep open.
    """

    def __init__(self, board: Board, environments: Sequence[dict[str, str]], lock: int) -> None:
        self.board = board
        self.environments = environments
        self.lock = lock
        self.signals: list[int] = []
        self.jobs: list[Job] = []

    def run(self, cells: Sequence[Cell]) -> int | None:
        """Train what is not finished; returns the signal that stopped it, or None."""
        waiting = deque(sorted(cells, key=lambda cell: cell.state() != "interrupted"))
        with self._catching(), self.board.shown():
            try:
                while (waiting or self.jobs) and not self.signals:
                    while waiting and len(self.jobs) < len(self.environments) and self._may_start(cells):
                        cell = waiting.popleft()
                        self._start(cell, resume=cell.state() == "interrupted")
                    time.sleep(PAUSE)
                    for job in [job for job in self.jobs if job.process.poll() is not None]:
                        self.jobs.remove(job)
                        self._end(job)
                    self.board.refresh()
            finally:
                self._stop()
        return self.signals[0] if self.signals else None

    def _may_start(self, cells: Sequence[Cell]) -> bool:
        """The first training decodes the data for all; the others wait until it has."""
        return not self.jobs or any((cell.folder / checkpoint.DATA).exists() for cell in cells)

    def _start(self, cell: Cell, resume: bool) -> None:
        slot = min(set(range(len(self.environments))) - {job.slot for job in self.jobs})
        command = cell.command(resume)
        cell.log.parent.mkdir(parents=True, exist_ok=True)
        with cell.log.open("ab") as log:
            log.write(f"$ python {' '.join(command[1:])}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environments[slot]},
                pass_fds=(self.lock,),
                start_new_session=True,  # a Ctrl-C reaches us alone
            )
            self.jobs.append(Job(cell, process, slot, resume, log.tell()))
        self.board.running(cell, "goes on" if resume else "started")

    def _end(self, job: Job) -> None:
        cell = job.cell
        if job.finished():
            self.board.finished(cell)
        elif job.cannot_resume():
            self.board.wait(cell, f"cannot be resumed ({reason(job)}), starts anew")
            self._start(cell, resume=False)
        else:
            self.board.fail(cell, reason(job))

    def _stop(self) -> None:
        """Interrupt the trainings that still run; kill them when they do not end, or at a second signal."""
        for job in self.jobs:
            _signal(job, signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while any(job.process.poll() is None for job in self.jobs):
            if time.monotonic() > deadline or len(self.signals) > 1:
                for job in self.jobs:
                    _signal(job, signal.SIGKILL)
            time.sleep(PAUSE)
        for job in self.jobs:
            if job.finished():
                self.board.finished(job.cell)
            else:
                self.board.wait(job.cell, "stopped")
        self.jobs.clear()

    @contextmanager
    def _catching(self) -> Iterator[None]:
        """Note signals instead of being ended by them."""

        def note(number: int, _: FrameType | None) -> None:
            self.signals.append(number)

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _signal(job: Job, number: signal.Signals) -> None:
    """To a training and its own processes."""
    if job.process.poll() is None:
        os.killpg(job.process.pid, number)


def reason(job: Job) -> str:
    """Why a training failed, in a line."""
    if job.process.returncode < 0:
        name = signal.Signals(-job.process.returncode).name
        return f"ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    lines = [line.strip() for line in job.said().splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    found = errors or lines[-1:] or [f"exit code {job.process.returncode}"]
    return found[-1]
