"""What the confidences of finished runs are worth: calibration, missing modalities, contributions, abstention, shift.

    python -m benchmarks.real_data --sets grid_digit openclipart her2st --seeds 3 --out runs/confidences \\
        --methods unimodal infobridge \\
        --variant "infobridge-dropout=--method infobridge --modality-dropout 0.3" \\
        --variant "protected=--method infobridge --method.variant protected" \\
        --variant "protected-dropout=--method infobridge --method.variant protected --modality-dropout 0.3"
    python -m benchmarks.confidences runs/confidences

Takes the runs of every set, variant and seed below a folder and prints Markdown tables. Temperatures are fitted on
validation, everything else is measured on test; figures are means over the seeds.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import coalitions
from bundle.answer import softmax
from training import scoring
from training.checkpoint import DATA, RUN, SCORES, read_json
from training.comparison.significance import paired_bootstrap
from training.evaluate import Scores
from training.measures.contributions import class_contributions, deletion
from training.measures.improvement import improvements
from training.measures.missing import cautious, shift_thresholds
from training.measures.outputs import independent_groups
from training.measures.selective import risk_coverage
from training.measures.temperatures import fit_temperatures

UNIMODAL = "unimodal"
"""The variant whose shares are classifiers trained on one modality alone."""


@dataclass(frozen=True)
class Seeds:
    """The runs of one set and variant."""

    name: str
    variant: str
    modalities: tuple[str, ...]
    labels: tuple[str, ...]
    scores: list[dict[str, Scores]]
    """By split, for each seed."""

    def mean(self, figure: Callable[[Scores, Scores], Sequence[float]]) -> list[float]:
        """The mean over the seeds of figures of validation and test scores."""
        return [float(value) for value in np.mean([figure(one["val"], one["test"]) for one in self.scores], axis=0)]

    def right(self, predicted: Callable[[Scores], NDArray[np.float32]]) -> NDArray[np.bool_]:
        """`(seeds, samples)`: where the largest of some logits is right on test."""
        return np.stack([predicted(one["test"]).argmax(axis=1) == one["test"].labels for one in self.scores])


def read(root: Path) -> list[Seeds]:
    """Every set's variants with their finished runs."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(root.glob(f"*/*/*/{RUN}")):
        found.setdefault((path.parts[-4], path.parts[-3]), []).append(path.parent)
    return [_read(name, variant, folders) for (name, variant), folders in found.items()]


def _read(name: str, variant: str, folders: list[Path]) -> Seeds:
    content = read_json(folders[0] / RUN)
    modalities = tuple(content["modalities"])
    scores = [scoring.load(folder / SCORES) for folder in folders]
    assert len({read_json(folder / DATA)["fingerprint"] for folder in folders}) == 1, "all seeds have the same data"
    answered = [_answered(each, modalities) for each in scores]
    return Seeds(name, variant, modalities, tuple(content["labels"]), answered)


def _answered(scores: dict[str, Scores], modalities: tuple[str, ...]) -> dict[str, Scores]:
    """As a service answers, with smaller logits far from the training data."""
    thresholds, _ = shift_thresholds(scores["val"], modalities)
    return {split: cautious(one, modalities, thresholds) for split, one in scores.items()}


def calibration(runs: list[Seeds]) -> str:
    """ECE of every output before and after its temperature, beside what a calibrated model has."""
    head = "| set | variant | output | T | ECE | with T | calibrated have up to | inside | debiased | Brier | NLL |"
    rows = [head, "|---" * 11 + "|"]
    for run in runs:
        each = [
            improvements(one["test"], run.modalities, fit_temperatures(one["val"], run.modalities).calibration)
            for one in run.scores
        ]
        for same in zip(*each, strict=True):
            if same[0].output.kind == "coalition":
                continue
            before, after = [one.before for one in same], [one.after for one in same]
            inside = sum(one.equal_mass.inside for one in after)
            debiased = [one.equal_mass.debiased.value for one in after]
            figures = (
                f"{np.mean([one.temperature for one in after]):.2f}",
                f"{np.mean([one.equal_mass.plug_in for one in before]):.3f}",
                f"{np.mean([one.equal_mass.plug_in for one in after]):.3f}",
                f"{np.mean([one.equal_mass.band.high for one in after]):.3f}",
                f"{inside} of {len(after)}",
                f"{np.mean(debiased):.3f} ({min(debiased):.3f} to {max(debiased):.3f})",
                *(
                    f"{np.mean([getattr(one, name).value for one in before]):.3f} → "
                    f"{np.mean([getattr(one, name).value for one in after]):.3f}"
                    for name in ("brier", "nll")
                ),
            )
            rows.append(f"| {run.name} | {run.variant} | {same[0].output.title} | {' | '.join(figures)} |")
    return "\n".join(rows)


def missing(runs: list[Seeds]) -> str:
    """Accuracy with every modality and with each alone, and what that is beside one trained on it alone."""
    rows = ["| set | variant | all | alone | minus trained on it alone | all minus without dropout |", "|---" * 6 + "|"]
    known = {(run.name, run.variant): run for run in runs}
    for run in runs:
        alone = {name: run.right(partial(_alone, run, name)) for name in run.modalities}
        every = run.right(lambda one: one.logits)
        groups = _groups(run)
        beside = known.get((run.name, UNIMODAL))
        gaps = "–"
        if beside is not None and len(beside.scores) == len(run.scores) and run is not beside:
            own = {name: beside.right(partial(_share, name)) for name in run.modalities}
            gaps = ", ".join(f"{name} {_points(alone[name], own[name], groups)}" for name in run.modalities)
        without = known.get((run.name, run.variant.removesuffix("-dropout")))
        change = "–"
        if without is not None and without is not run and len(without.scores) == len(run.scores):
            change = _points(every, without.right(lambda one: one.logits), groups)
        shown = alone if run is not beside else {name: run.right(partial(_share, name)) for name in run.modalities}
        own_text = ", ".join(f"{name} {_spread(values)}" for name, values in shown.items())
        rows.append(f"| {run.name} | {run.variant} | {_spread(every)} | {own_text} | {gaps} | {change} |")
    return "\n".join(rows)


def _alone(run: Seeds, name: str, scores: Scores) -> NDArray[np.float32]:
    return scores.coalitions[:, coalitions.names(run.modalities).index(name)]


def _share(name: str, scores: Scores) -> NDArray[np.float32]:
    return scores.shares[name]


def _groups(run: Seeds) -> NDArray[np.int64]:
    first = run.scores[0]["test"]
    groups = independent_groups(first)
    return np.arange(len(first.labels)) if groups is None or len(np.unique(groups)) < 10 else groups


def _points(one: NDArray[np.bool_], other: NDArray[np.bool_], groups: NDArray[np.int64]) -> str:
    found = paired_bootstrap(one, other, groups)
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def _spread(right: NDArray[np.bool_]) -> str:
    accuracies = 100 * right.mean(axis=1)
    deviation = accuracies.std(ddof=1) if len(accuracies) > 1 else 0.0
    return f"{accuracies.mean():.1f} ± {deviation:.1f}"


def contributions(runs: list[Seeds]) -> str:
    """Which modality carries which class: mean Shapley values of the right class's probability."""
    rows = ["| set | variant | class | samples | probability | without any | owed to |", "|---" * 7 + "|"]
    for run in runs:
        each = [
            class_contributions(one["test"], run.modalities, fit_temperatures(one["val"], run.modalities).calibration)
            for one in run.scores
        ]
        for same in zip(*each, strict=True):
            owed = ", ".join(
                f"{name} {np.mean([one.modalities[name].value for one in same]):+.2f}" for name in run.modalities
            )
            probability = np.mean([one.probability.value for one in same])
            baseline = np.mean([one.baseline for one in same])
            label = run.labels[same[0].label]
            figures = f"{same[0].samples} | {probability:.2f} | {baseline:.2f} | {owed}"
            rows.append(f"| {run.name} | {run.variant} | {label} | {figures} |")
    return "\n".join(rows)


def deletions(runs: list[Seeds]) -> str:
    """Rank correlation of contribution with what is lost where the modality is another sample's."""
    rows = ["| set | variant | all pairs of sample and modality | each modality |", "|---" * 4 + "|"]
    for run in runs:
        found = [
            deletion(one["test"], run.modalities, fit_temperatures(one["val"], run.modalities).calibration)
            for one in run.scores
        ]
        pooled = [one.pooled for one in found]
        text = (
            f"{np.mean([one.value for one in pooled]):.2f} "
            f"[{min(one.low for one in pooled):.2f}, {max(one.high for one in pooled):.2f}]"
        )
        own = ", ".join(
            f"{name} {np.mean([one.modalities[name].value for one in found]):.2f}" for name in run.modalities
        )
        rows.append(f"| {run.name} | {run.variant} | {text} | {own} |")
    return "\n".join(rows)


def selective(runs: list[Seeds]) -> str:
    """What abstention and the flags of an answer are worth."""
    head = (
        "| set | variant | AURC | excess | accuracy at 100 / 80 / 50 % | modalities disagree | accuracy then, else "
        "| unusual |"
    )
    rows = [head, "|---" * 8 + "|"]
    for run in runs:

        def figures(validation: Scores, test: Scores, run: Seeds = run) -> list[float]:
            temperature = fit_temperatures(validation, run.modalities).calibration.fused
            right = test.logits.argmax(axis=1) == test.labels
            curve = risk_coverage(softmax(test.logits, temperature).max(axis=1), right)
            own = np.stack([share.argmax(axis=1) for share in test.shares.values()])
            differ = (own != own[0]).any(axis=0)
            thresholds, _ = shift_thresholds(validation, run.modalities)
            unusual = np.any([test.shifts[name] > threshold for name, threshold in thresholds.items()], axis=0)
            at = [curve.accuracy_at(share) for share in (1.0, 0.8, 0.5)]
            split = [float(right[rows].mean()) if rows.any() else np.nan for rows in (differ, ~differ)]
            return [curve.area, curve.excess, *at, float(differ.mean()), *split, float(unusual.mean())]

        area, excess, *at, differ, differing, agreeing, unusual = run.mean(figures)
        answered = " / ".join(f"{100 * value:.1f}" for value in at)
        rows.append(
            f"| {run.name} | {run.variant} | {area:.3f} | {excess:.3f} | {answered} | {100 * differ:.0f} % "
            f"| {100 * differing:.1f}, {100 * agreeing:.1f} | {100 * unusual:.1f} % |"
        )
    return "\n".join(rows)


TABLES = {
    "calibration": calibration,
    "missing": missing,
    "contributions": contributions,
    "deletions": deletions,
    "selective": selective,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of SET/VARIANT/SEED")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--variants", nargs="+", help="only these; not given, all")
    options = parser.parse_args(arguments)
    runs = [run for run in read(options.runs) if options.variants is None or run.variant in options.variants]
    if not runs:
        print(f"error: expected finished runs below {options.runs}, found none", file=sys.stderr)
        return 2
    for name in options.tables:
        print(f"\n{(TABLES[name].__doc__ or name).splitlines()[0]}\n\n{TABLES[name](runs)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
