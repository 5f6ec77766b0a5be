"""Figures of a run over what several samples show together: `python -m training.averaged`; `--help` says the rest."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from bundle.errors import BundleError
from training.command import read_options
from training.errors import ConfigError, DataError, TrainingError
from training.evaluate import Scores
from training.frame import codes
from training.measures.micro_auc import micro_auc
from training.progress import begin, console
from training.reporting import run as finished
from training.reporting.features import reread

PROGRAM = "python -m training.averaged"
SPLITS = {"val": "validation", "test": "test"}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Command:
    """Average the probabilities of samples that belong together, such as a region's nine patches, then measure.

    Beside accuracy and macro-F1 it gives the area under the ROC curve, micro- and macro-averaged, and each class
    against the rest. The data is read again for the column, not decoded.
    """

    run: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    over: str | None = None
    """Column of the data whose equal values belong together, such as region; not given, every sample by itself."""


@dataclass(frozen=True)
class Figures:
    """Of one split."""

    units: int
    """What was measured: samples, or what several show together."""
    accuracy: float
    macro_f1: float
    micro_auc: float
    """Every class of every unit is one decision: is it that class?"""
    macro_auc: float
    """Mean over the classes that the split has some of, and others."""
    f1: tuple[float, ...]
    """By class."""
    against_rest: tuple[float, ...]
    """By class, the share of units that are rightly called that class or rightly not."""


def average(
    probabilities: Floats, labels: NDArray[np.int64], units: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int64]]:
    """The mean probabilities of each unit `(units, classes)` and its label.

    Args:
        probabilities: `(samples, classes)`.
        labels: `(samples,)`.
        units: `(samples,)` a number for each, equal where they belong together.

    Raises:
        DataError: samples of one unit have different labels.
    """
    _, first, where = np.unique(units, return_index=True, return_inverse=True)
    own = labels[first]
    if (own[where] != labels).any():
        raise DataError("expected one class in all samples that belong together, found several")
    sums = np.zeros((len(own), probabilities.shape[1]))
    np.add.at(sums, where, probabilities)
    return sums / np.bincount(where)[:, None], own


def measure(probabilities: Floats, labels: NDArray[np.int64]) -> Figures:
    """The figures of probabilities `(units, classes)` with labels `(units,)`."""
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    right = labels[:, None] == np.arange(classes)
    called = predicted[:, None] == np.arange(classes)
    both = [number for number in range(classes) if 0 < right[:, number].sum() < len(labels)]
    areas = [float(roc_auc_score(right[:, number], probabilities[:, number])) for number in both]
    each = f1_score(labels, predicted, average=None, labels=range(classes), zero_division=0.0)
    return Figures(
        units=len(labels),
        accuracy=float(accuracy_score(labels, predicted)),
        macro_f1=float(f1_score(labels, predicted, average="macro", zero_division=0.0)),
        micro_auc=micro_auc(probabilities, labels),
        macro_auc=float(np.mean(areas)) if areas else float("nan"),
        f1=tuple(each.tolist()),
        against_rest=tuple((right == called).mean(axis=0).tolist()),
    )


def averaged(folder: Path, over: str | None) -> dict[str, Figures]:
    """The figures of a run's validation and test split.

    Raises:
        TrainingError: no finished run, its data is not there any more, or has no such column.
    """
    run = finished.read(folder)
    units = None
    if over is not None:
        columns = reread(run.checkpoint).columns
        if over not in columns:
            raise ConfigError(f"--over: the data has no column {over!r}; it has {', '.join(columns) or 'none'}")
        units = codes(pd.Series(list(columns[over]), dtype=object))
    return {split: _figures(run.scores[split], units) for split in SPLITS}


def _figures(scores: Scores, units: NDArray[np.int64] | None) -> Figures:
    own = np.arange(len(scores.labels)) if units is None else units[scores.samples]
    return measure(*average(softmax(scores.logits.astype(np.float64), axis=1), scores.labels, own))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    begin()
    given: Any = sys.argv[1:] if arguments is None else arguments
    try:
        command = read_options(Command, given, PROGRAM, str(Command.__doc__))
        labels = finished.read(command.run).checkpoint.labels
        found = averaged(command.run, command.over)
    except (TrainingError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for split, name in SPLITS.items():
        one = found[split]
        console.print(
            f"{name}, {one.units} {command.over or 'sample'}s: accuracy {one.accuracy:.3f}, "
            f"macro-F1 {one.macro_f1:.3f}, micro-AUC {one.micro_auc:.3f}, macro-AUC {one.macro_auc:.3f}"
        )
        for label, f1, against in zip(labels, one.f1, one.against_rest, strict=True):
            console.print(f"  {label}: F1 {f1:.3f}; against the rest {against:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
