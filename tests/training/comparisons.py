"""Comparisons with runs made by hand: outputs that are right where a test says, in folders as trainings leave them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import checkpoint, scoring
from training.comparison.cells import Cell, cells_of
from training.comparison.options import Options, read
from training.comparison.variants import Table
from training.evaluate import Scores, evaluate

CLASSES = 2
TABLE = ("--dataset", "table", "--dataset.path", "absent.csv", "--modalities", "image", "text")
Right = NDArray[np.bool_]


def planned(out: Path, *arguments: str) -> tuple[Options, list[Table], list[Cell]]:
    """What a command line asks for."""
    options, common, tables = read([*TABLE, "--out", str(out), *arguments])
    return options, tables, cells_of(tables, common, options)


def outputs(right: Sequence[bool], alone: Mapping[str, Sequence[bool]] | None = None) -> Scores:
    """Scores that are right where asked, of samples of alternating class."""
    labels = np.arange(len(right)) % CLASSES
    shares = {name: _logits(labels, own) for name, own in (alone or {"image": right, "text": right}).items()}
    return Scores(labels, np.arange(len(right)) + 5, _logits(labels, right), shares)


def _logits(labels: NDArray[np.int64], right: Sequence[bool]) -> NDArray[np.float32]:
    answers = np.where(np.asarray(right), labels, 1 - labels)
    return np.eye(CLASSES, dtype=np.float32)[answers]


def part(count: int, of: int) -> list[bool]:
    """So many right answers, the first ones."""
    return [number < count for number in range(of)]


def finish(cell: Cell, validation: Scores, test: Scores, folder: Path | None = None) -> Path:
    """Write the run of a cell."""
    out = folder if folder is not None else cell.folder
    out.mkdir(parents=True, exist_ok=True)
    data = {"labels": ["a", "b"], "samples": {"train": 9, "val": 4, "test": 4}, "groups": 17, "fingerprint": "f"}
    checkpoint.write_json(out / checkpoint.DATA, data)
    checkpoint.write_json(out / checkpoint.CONFIG, asdict(cell.config))
    checkpoint.write_json(out / checkpoint.HISTORY, [{}, {}])
    scoring.save({"val": validation, "test": test}, out / checkpoint.SCORES)
    metrics = {"validation": asdict(evaluate(validation)), "test": asdict(evaluate(test))}
    run: dict[str, Any] = {"metrics": metrics, "best_epoch": 2, "data": data, "modalities": {"image": 0, "text": 0}}
    checkpoint.write_json(out / checkpoint.RUN, run)
    return out
