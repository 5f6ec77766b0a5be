"""Report on finished runs, with figures: `python -m training.report RUN [RUN ...]`; `--help` says the rest."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import tyro
from accelerate import Accelerator

from bundle.checking import one_line
from bundle.errors import BundleError
from training import checkpoint
from training.errors import ConfigError, TrainingError
from training.judging import judge
from training.progress import console
from training.reporting import (
    comparison,
    from_calibration,
    from_features,
    from_groups,
    from_modalities,
    from_outputs,
)
from training.reporting.from_corruptions import shift_section
from training.reporting.page import Page, write
from training.reporting.run import Finished, facts, metrics, read

LOG = ".log"
"""What training.compare puts beside a run."""
DESCRIPTION = """Report on finished runs: one HTML file that needs nothing else, and its figures as PNG files.

  python -m training.report runs/mine
      calibration, what each modality contributes, missing modalities, corruptions, accuracies, joint features and
      more of one run: runs/mine/report/report.html, and the numbers behind it in runs/mine/report/measured.json
  python -m training.report runs/mine --by site
      also accuracies for each value of the table's column site, with intervals, and which value is worst
  python -m training.report runs/figure3/infobridge/* runs/figure3/infobridge-alpha-*/*
      several runs that differ in α and seed alone, here those of training.compare --preset figure3: the distance
      between the modalities against α, with mean and standard deviation over the seeds:
      runs/figure3/report/report.html; the .log files beside the runs are left out

The data of the training is read again, through the cache. Of one run whose data is not there any more, the figures that
need it are left out."""
ORDER = (
    *("confidence", "contributions", "deletion", "calibration", "calibration-by-class", "coverage", "missing"),
    *("shift", "corruptions", "accuracy", "balance", "distance", "embedding", "information", "gradients"),
    *("realisability", "confusion"),
)


@dataclass(frozen=True)
class Options:
    """What to report on, and where to."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished `python -m training.fit`: one, or several that differ in α and seed alone."""
    to: Path | None = None
    """Where to; not given, `report` in the run's own folder, of several runs in the folder that holds them all."""
    by: tuple[str, ...] = ()
    """Columns of the data, such as site, for each of whose values accuracies are reported; not given, those of the
    training. Of one run only."""
    corruptions: bool = True
    """Whether test samples are made worse, in five severities, to see what the classifier makes of them: the longest
    part. Of one run only."""


def report(run: Finished, accelerator: Accelerator, by: Sequence[str] = (), corruptions: bool = True) -> Page:
    """The report of one run.

    Args:
        run: the run.
        accelerator: where to compute.
        by: columns whose values are reported on each.
        corruptions: whether test samples are made worse.

    Raises:
        ConfigError: a column that cannot be measured by.
        CheckpointError: the run's files are damaged.
    """
    groups = from_groups.broken_down(run, by)
    found, notice = from_features.sections(run, accelerator, corruptions)
    for part in (from_outputs, from_calibration, from_modalities):
        found |= part.sections(run)
    found["shift"] = shift_section(run)
    config = run.checkpoint.config
    return Page(
        f"{config.method} on {config.dataset}",
        [("Run", str(run.checkpoint.folder)), *facts(run)],
        [*(found[name] for name in ORDER), *groups.sections],
        metrics(run),
        [notice] if notice else [],
        judge(run.scores, run.checkpoint.labels, tuple(run.checkpoint.modalities)),
        groups.lines,
    )


def _runs_among(given: Sequence[Path]) -> list[Path]:
    """The same without the logs and reports that a glob over a comparison's runs finds, and without repetition."""
    left = given if len(given) < 2 else [path for path in given if path.suffix != LOG or not path.is_file()]
    if len(left) < len(given):
        console.print(f"{LOG} files left out: {len(given) - len(left)}")
    if len(left) > 1:  # a report on all runs of one folder lies there beside them
        left = [path for path in left if path.name != checkpoint.REPORT or (path / checkpoint.CONFIG).exists()]
    return list({path.resolve(): path for path in left}.values())


def _folder(options: Options, runs: Sequence[Finished]) -> Path:
    """Where the report goes, made and found to be writable.

    Raises:
        ConfigError: it cannot be written.
    """
    folders = [run.checkpoint.folder.resolve() for run in runs]
    folder = options.to if options.to is not None else Path(os.path.commonpath(folders)) / checkpoint.REPORT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--to {folder} cannot be written: {error.strerror or error}") from None
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = tyro.cli(Options, args=arguments, prog="python -m training.report", description=DESCRIPTION)
    try:
        folders = _runs_among(options.runs)
        if not folders:
            raise ConfigError("expected the folder of a finished run, found none; --help says more")
        runs = [read(folder) for folder in folders]
        if len(runs) > 1:
            if options.by:
                raise ConfigError(f"--by is for a report on one run, these are {len(runs)}")
            comparison.check(runs)
        folder = _folder(options, runs)
        accelerator = Accelerator(cpu=all(run.checkpoint.config.device == "cpu" for run in runs))
        if len(runs) == 1:
            page = report(runs[0], accelerator, options.by, options.corruptions)
        else:
            page = comparison.compare(runs, accelerator)
        path = write(page, folder)
    except (TrainingError, BundleError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a share that went away
        print(f"error: {error.strerror or error}: {error.filename or 'no file'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the report was not finished", file=sys.stderr)
        return 130
    for notice in page.notices:
        print(notice, file=sys.stderr)
    for line in page.lines:
        console.print(line, markup=False)
    console.print(f"{path}; the figures are in {path.parent / checkpoint.FIGURES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
