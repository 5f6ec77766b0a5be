"""Check a published dataset and write the table it is trained from: `python -m training.prepare NAME --to FOLDER`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import tyro

from training import catalog
from training.archives import unpacked
from training.broken import broken
from training.command import read_options
from training.errors import ConfigError, TrainingError
from training.progress import begin, console
from training.published import TABLE, Published
from training.survey import Survey

PROGRAM = "python -m training.prepare"
LEFT_OUT = "left_out.txt"
"""Beside the table: a line for each sample that is not in it, and why."""
SHOWN = 10
"""Of those lines that are printed."""
NAMES = tuple(name for name in catalog.names("datasets") if issubclass(catalog.load("datasets", name), Published))


@dataclass(frozen=True)
class Command:
    """Check what is there of a published dataset, and write the one table that training reads.

    It says how many samples were found and how many are published, which are missing, which cannot be decoded, and
    what is odd about the rest; without --from, where to obtain it. Samples that are not whole are left out of table.csv
    and listed in left_out.txt. Media stay where they are, but archives are unpacked.
    """

    name: Annotated[Literal[NAMES], tyro.conf.Positional]  # type: ignore[valid-type]
    """Which dataset."""
    to: Path
    """Folder for table.csv, and for what is unpacked or made; `--dataset.path` of the training."""
    source: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")] = field(default=())
    """Archives (zip, tar, deb) or folders, as many as it takes; they may also be one folder that holds all."""
    decode: bool = True
    """Decode every file once; --no-decode only looks whether it is there."""
    overwrite: bool = False
    """Replace the table that is already there."""


def prepare(command: Command) -> Survey:
    """Find, check, and write; returns what the table holds.

    Raises:
        TrainingError: nothing usable is there, or the folder cannot be used.
    """
    dataset: type[Published] = catalog.load("datasets", command.name)
    to = command.to.resolve()
    if (to / TABLE).exists() and not command.overwrite:
        raise ConfigError(f"--to {command.to} holds a {TABLE} already; choose another folder, or --overwrite")
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--to {command.to} cannot be used: {error.strerror or error}") from None
    absent = [str(path) for path in command.source if not path.exists()]
    if absent:
        raise ConfigError(f"--from: found no {', '.join(absent)}; to obtain the dataset: {dataset.OBTAIN}")
    sources = [path.resolve() for path in command.source] or dataset.fetch(to / "files")
    folders = [path if path.is_dir() else unpacked(path, to / "files") for path in sources]
    survey = dataset.process(dataset.survey(folders), to)
    problems = broken(survey.frame, survey.media) if command.decode else {}
    left_out = [line.replace(f"{to}/", "") for line in (*survey.missing, *problems.values())]
    whole = survey.frame.drop(index=survey.frame.index[list(problems)]) if problems else survey.frame
    _report(survey, problems, left_out)
    if whole.empty:
        raise ConfigError(f"no sample of {command.name} is whole; to obtain the dataset: {dataset.OBTAIN}")
    (to / LEFT_OUT).write_text("".join(f"{line}\n" for line in left_out), encoding="utf-8")
    _write(whole, survey.media, to)
    console.print(f"{len(whole):,} samples are in {command.to / TABLE}; train with")
    console.print(
        f"  python -m training.fit --dataset {command.name} --dataset.path {command.to} --out runs/{command.name}"
    )
    return survey


def _report(survey: Survey, problems: dict[int, str], left_out: Sequence[str]) -> None:
    for count in survey.counts:
        console.print(count.line())
    for remark in survey.remarks:
        console.print(f"note: {remark}")
    if left_out:
        console.print(f"left out: {len(survey.missing)} missing, {len(problems)} that cannot be decoded ({LEFT_OUT})")
        for line in left_out[:SHOWN]:
            console.print(f"  {line}")
        if len(left_out) > SHOWN:
            console.print(f"  … {len(left_out) - SHOWN} more")


def _write(frame: pd.DataFrame, media: Sequence[str], folder: Path) -> None:
    """Write the table aside and rename it; paths within its folder are relative to it, so that it can be moved."""
    written = frame.copy()
    for column in media:
        written[column] = [_relative(path, folder) for path in written[column]]
    aside = folder / f".{os.getpid()}-{TABLE}"
    try:
        written.to_csv(aside, index=False, encoding="utf-8", lineterminator="\n")
        os.replace(aside, folder / TABLE)
    finally:
        aside.unlink(missing_ok=True)


def _relative(path: str, folder: Path) -> str:
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    begin()
    given: Any = sys.argv[1:] if arguments is None else arguments
    try:
        prepare(read_options(Command, given, PROGRAM, str(Command.__doc__)))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a share that went away
        print(f"error: {error.strerror or error}: {error.filename or 'no file'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing is lost, begin again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
