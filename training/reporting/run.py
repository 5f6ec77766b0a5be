"""What a report knows of a finished run without its data: checkpoint, history, scores, and the facts of its header."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from training import checkpoint, scoring
from training.checkpoint import Checkpoint
from training.errors import CheckpointError
from training.evaluate import Scores
from training.measures.missing import cautious, shift_thresholds
from training.measures.temperatures import Temperatures, fit_temperatures
from training.reporting.epochs import Epoch, read_history
from training.reporting.page import Table


@dataclass(frozen=True)
class Finished:
    """A finished run."""

    checkpoint: Checkpoint
    history: list[Epoch]
    scores: dict[str, Scores]
    """By split, `val` and `test`, as a service answers: with smaller logits far from the training data."""

    @property
    def kept(self) -> int:
        """The epoch whose weights were kept."""
        return int(self.checkpoint.provenance["best_epoch"])

    @cached_property
    def thresholds(self) -> tuple[dict[str, float], dict[str, str]]:
        """By modality, the distance beyond which features are unusual, and why some have none."""
        return shift_thresholds(self.scores["val"], tuple(self.checkpoint.modalities))

    @cached_property
    def temperatures(self) -> Temperatures:
        """Of every output, fitted on validation.

        Raises:
            DataError: a logit is not finite.
        """
        return fit_temperatures(self.scores["val"], tuple(self.checkpoint.modalities))


def read(folder: Path) -> Finished:
    """Read a finished run.

    Raises:
        CheckpointError: no such folder, an unfinished run, or damaged files.
    """
    if not folder.is_dir():
        raise CheckpointError(f"expected the folder of a finished run, found no folder {folder}")
    found = checkpoint.read(folder)
    scores = {split: _in_order(found, one) for split, one in scoring.load(folder / checkpoint.SCORES).items()}
    for split in ("val", "test"):
        shape = scores[split].logits.shape if split in scores else ()
        if len(shape) != 2 or shape[1] != len(found.labels):
            raise CheckpointError(
                f"{folder / checkpoint.SCORES} is not of this run: it lacks scores of the {split} split"
            )
    try:
        names = tuple(found.modalities)
        limits, _ = shift_thresholds(scores["val"], names)
        answered = {split: cautious(one, names, limits) for split, one in scores.items()}
        finished = Finished(found, read_history(folder), answered)
        facts(finished), metrics(finished)  # whatever they need is there
        return finished
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / checkpoint.RUN} cannot be read: {type(error).__name__} {error}") from None


def _in_order(run: Checkpoint, scores: Scores) -> Scores:
    """The same with the modalities in the run's order."""
    parts = {"shares": scores.shares, "shifts": scores.shifts, "deletions": scores.deletions}
    if any(set(part) != set(run.modalities) for part in parts.values()):
        raise CheckpointError(f"{run.folder / checkpoint.SCORES} is not of this run: it has other modalities")
    ordered: dict[str, Any] = {kind: {name: part[name] for name in run.modalities} for kind, part in parts.items()}
    return replace(scores, **ordered)


def facts(run: Finished) -> list[tuple[str, str]]:
    """Name and value of what identifies the run."""
    config, data = run.checkpoint.config, run.checkpoint.provenance["data"]
    counts = {"train": "training", "val": "validation", "test": "test"}
    samples = ", ".join(f"{data['samples'][split]} {name}" for split, name in counts.items())
    encoders = ", ".join(f"{name} by {config.of(name).encoder}" for name in run.checkpoint.modalities)
    return [
        ("Data set", f"{config.dataset}{_listed(config.dataset_options)}"),
        ("Samples", f"{samples}; {data['groups']} groups"),
        ("Classes", str(len(run.checkpoint.labels))),
        ("Modalities", f"{encoders}; fused by {config.fusion}"),
        ("Method", f"{config.method}{_listed(config.method_options)}"),
        ("Seed", str(config.seed)),
        ("Epochs", f"{len(run.history)}, kept {run.kept} (--keep {config.keep})"),
        (
            "Optimiser",
            f"{config.optimiser}, learning rate {config.learning_rate:g}, batches of {config.batch_size}",
        ),
    ]


def metrics(run: Finished) -> Table:
    """Accuracy, macro-F1 and, where the run states it, micro-AUC on validation and test, in percent."""
    names = list(run.checkpoint.modalities)
    fused = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
    if all("micro_auc" in run.checkpoint.metrics[split] for split in ("validation", "test")):
        fused["micro_auc"] = "micro-AUC"
    rows = []
    for split in ("validation", "test"):
        found = run.checkpoint.metrics[split]
        own = [found["modality_accuracy"][name] for name in names]
        figures = (*(found[name] for name in fused), *own)
        rows.append((split, *(f"{100 * value:.1f}" for value in figures), str(found["samples"])))
    return Table(("in percent", *fused.values(), *(f"{name} alone" for name in names), "samples"), rows)


def _listed(options: Any) -> str:
    """Options that are set, in brackets."""
    values: Mapping[str, Any] = asdict(options) if is_dataclass(options) and not isinstance(options, type) else {}
    shown = [f"{name} {value}" for name, value in values.items() if value not in (None, ())]
    return f" ({', '.join(shown)})" if shown else ""
