"""Runs a training in processes that are killed again and again: `python -m tests.training.killing KILLS SEED OUT …`.

Every life is a process of its own, forked from one that has imported everything, and does what
`python -m training.fit` does. It ends itself with SIGKILL as it comes to a line of `training/`, drawn from all those
that an uninterrupted training passes; or it is killed from outside after a while, wherever it then is. Prints the
places of death as JSON.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import training
import training.fit
from training import checkpoint, state

SOURCES = str(Path(training.__file__).parent) + os.sep
RUN, SETTLE = "Loop.run", "settle"
SHARES = (0.2, 0.6, 0.2)
"""How many die before the epochs, in them, and after them; in each of these phases one at least."""
OUTSIDE, UP_TO = 5, 0.7
"""Every fifth death comes from outside, up to that part of the training."""


@dataclass(frozen=True)
class Life:
    """How a life ended."""

    killed: bool
    place: str
    total: int = 0
    """Lines passed."""
    marks: dict[str, int] = field(default_factory=dict)
    """Lines passed up to `Loop.run`, to `settle`, which follows the last epoch, and to each saving, by its progress."""


class Lines:
    """Counts the lines of `training/` that this process passes, and dies at one of them.

    Args:
        last: number of the line at which to die; None to live on.
        trained: whether lines are counted from where the epochs begin, or go on.
        pipe: is told the place of that line.
    """

    def __init__(self, last: int | None, trained: bool, pipe: int) -> None:
        self.last, self.trained, self.pipe = last, trained, pipe
        self.process = os.getpid()
        self.count = 0
        self.marks: dict[str, int] = {}

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Follow functions of `training/` alone."""
        code = frame.f_code
        if not code.co_filename.startswith(SOURCES):
            return None
        if code.co_qualname in (RUN, SETTLE):
            self.marks[code.co_qualname] = self.count
        if code.co_qualname == RUN and self.trained and self.last is not None:
            self.last, self.trained = self.last + self.count, False
        return self.line

    def line(self, frame: FrameType, event: str, _: Any) -> Any:
        """Count, mark, and die."""
        if event == "return" and frame.f_code.co_qualname == "Saving.save":
            progress = frame.f_locals["progress"]
            self.marks[f"{progress.epoch}.{progress.step}"] = self.count
        if event == "line":
            self.count += 1
            if self.count == self.last and not self.trained:
                place = f"{frame.f_code.co_filename.removeprefix(SOURCES)}:{frame.f_lineno}"
                os.write(self.pipe, place.encode())
                os.kill(self.process, signal.SIGKILL)  # a worker takes the whole training along
                os._exit(1)
        return self.line


def live(arguments: Sequence[str], last: int | None, trained: bool = False, seconds: float | None = None) -> Life:
    """Train in a process of its own, which dies at a line as `Lines` has it, or is killed after some seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        lines = Lines(last, trained, writer)
        with open(os.devnull, "w") as silent, contextlib.redirect_stdout(silent):
            sys.settrace(lines.enter)
            code = training.fit.main(arguments)
            sys.settrace(None)
        os.write(writer, json.dumps([lines.count, lines.marks]).encode())
        os._exit(code)
    os.close(writer)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.set_blocking(reader, False)  # workers that outlive it for a moment hold the other end
    try:
        said = os.read(reader, 1 << 20).decode()
    except BlockingIOError:
        said = ""
    os.close(reader)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return Life(True, said or f"after {seconds} s")
    assert os.WEXITSTATUS(status) == 0, f"exit code {os.WEXITSTATUS(status)}"
    return Life(False, "", *json.loads(said))


def saved_at(folder: Path, whole: Life) -> int:
    """How many lines the uninterrupted training had passed where this one will go on."""
    if not (folder / checkpoint.STATE).with_suffix(".json").exists():
        return whole.marks[RUN]
    progress = state.load(folder / checkpoint.STATE)["progress"]
    saved = f"{progress['epoch']}.{progress['step']}"
    last = saved == list(whole.marks)[-2]  # what follows it until `settle` is not done again
    return whole.marks[SETTLE if last else saved]


def main(kills: int, seed: int, out: Path, options: Sequence[str]) -> None:
    """Train once in peace, into `whole` under `out`, and once with deaths, into `killed`; each decodes for itself."""
    began = time.monotonic()
    whole = live(("--out", str(out / "whole"), "--cache", str(out / "first"), *options), None)
    seconds = time.monotonic() - began
    drawn = random.Random(seed)
    begun = whole.marks[RUN]
    edges = (1, begun, whole.marks[SETTLE], whole.total)
    phases = [*drawn.choices(range(3), SHARES, k=kills - 3), 0, 1, 2]
    places = sorted(drawn.randrange(edges[phase], edges[phase + 1]) for phase in phases)
    folder, deaths = out / "killed", []
    for number, place in enumerate([*places, None]):
        resumed = any((folder / name).exists() for name in (checkpoint.STARTING, checkpoint.CONFIG))
        more = ("--resume",) if resumed else ("--cache", str(out / "second"), *options)
        arguments = ("--out", str(folder), *more)
        if place is None:
            live(arguments, None)
        elif number % OUTSIDE == OUTSIDE - 1 and place < UP_TO * whole.total:
            deaths.append(live(arguments, None, seconds=drawn.uniform(0, seconds / 3)))
        elif place <= begun:
            deaths.append(live(arguments, place))
        else:
            deaths.append(live(arguments, max(1, place - saved_at(folder, whole)), trained=True))
    assert all(life.killed for life in deaths)
    print(json.dumps([life.place for life in deaths]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
