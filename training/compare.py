"""Train variants x seeds and test their differences: `python -m training.compare`; `--help` says the rest."""

import fcntl
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import BundleError
from training.comparison.options import PROGRAM, Options, read
from training.comparison.variants import Table
from training.errors import ConfigError, TrainingError
from training.progress import begin, console

if TYPE_CHECKING:  # torch and transformers take seconds, which --help and a misspelt option need not
    from training.comparison.board import Board
    from training.comparison.cells import Cell

LOCK = ".lock"
FAILED, REFUSED = 1, 2
INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit codes."""


def compare(options: Options, common: tuple[str, ...], tables: Sequence[Table], again: str) -> int:
    """Train what is not finished and write the results; returns the exit code.

    Args:
        options: the comparison's own.
        common: those of every training.
        tables: what is compared.
        again: the command line.

    Raises:
        TrainingError: options or data that cannot be used.
    """
    from training.comparison.board import Board
    from training.comparison.cells import cells_of

    for remark in (remark for table in tables for remark in table.remarks):
        console.print(remark, markup=False)
    cells = cells_of(tables, common, options)
    board = Board(cells)
    ended = None if options.tables else train(options, cells, board)
    if ended is not None:
        print(f"stopped; finished runs and epochs are kept, and the same command goes on:\n  {again}", file=sys.stderr)
        return 128 + ended
    missing = report(options, cells, board, tables, again)
    for entry in board.failed:
        print(f"failed: {entry.cell.name}: {entry.error} (see {entry.cell.log})", file=sys.stderr)
    return FAILED if missing and not options.tables else 0


def train(options: Options, cells: Sequence["Cell"], board: "Board") -> int | None:
    """Train what is not finished; returns the signal that stopped it, or None.

    Raises:
        TrainingError: data that cannot be used, or runs that would be replaced.
    """
    from training.comparison.cells import environments, visible_gpus
    from training.comparison.data import check_data
    from training.comparison.running import Runner

    with locked(options.out) as lock:
        wanted = []
        for cell in cells:
            state = cell.state()
            if state == "finished":
                board.finished(cell)
                continue
            if state == "finished otherwise" and not options.replace:
                raise ConfigError(
                    f"{cell.folder} is a finished run with other options ({'; '.join(cell.differences())}); choose "
                    "another --out, or train it again with --replace"
                )
            wanted.append(cell)
        console.print(
            f"{len(cells)} trainings into {options.out}, {len(cells) - len(wanted)} are finished", markup=False
        )
        if not wanted:
            return None
        check_data(wanted)
        gpus = visible_gpus() if any(cell.config.device != "cpu" for cell in wanted) else []
        return Runner(board, environments(options.jobs, gpus), lock).run(wanted)


def report(
    options: Options, cells: Sequence["Cell"], board: "Board", tables: Sequence[Table], again: str
) -> dict[tuple[str, int], str]:
    """Write the results of what is finished, and print them; returns why cells are missing.

    Raises:
        CheckpointError: runs that cannot be compared.
    """
    from training.comparison import report as files
    from training.comparison.data import groups_of_test
    from training.comparison.rows import found, outputs, rows_of

    scores, missing = outputs(cells)
    for entry in board.failed:
        missing[entry.cell.variant, entry.cell.seed] = f"failed: {entry.error}"
    groups = groups_of_test(cells, scores)
    filled = [found(table, rows_of(table, cells, scores), groups.numbers, options.resamples) for table in tables]
    text = files.write(files.Report(again, cells, missing, filled, groups, options.resamples), options.out)
    console.print(text, markup=False)
    console.print(f"written to {options.out}: {files.MARKDOWN}, {files.CSV}, {files.JSON}", markup=False)
    return missing


@contextmanager
def locked(out: Path) -> Iterator[int]:
    """Hold the folder; trainings inherit the hold, so that one left behind by a killed comparison keeps it.

    Raises:
        ConfigError: the folder cannot be written, or another comparison has it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = os.open(out / LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror or error}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    except BlockingIOError:
        raise ConfigError(
            f"--out {out} is in use by another comparison, or by a training that a killed one left behind; wait for "
            "it, or choose another --out"
        ) from None
    finally:
        os.close(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    begin()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options, common, tables = read(given)
        return compare(options, common, tables, f"{PROGRAM} {shlex.join(given)}")
    except (TrainingError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or 'no file'}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED[0]


if __name__ == "__main__":
    sys.exit(main())
