"""Rows of a table: what each variant reached with each seed, one of every family, and how the reference differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import catalog, checkpoint, scoring
from training.comparison.cells import Cell
from training.comparison.selection import choose
from training.comparison.significance import Difference, holm, paired_bootstrap
from training.comparison.variants import Table
from training.errors import CheckpointError
from training.evaluate import Scores, evaluate
from training.measures.micro_auc import micro_auc_of


@dataclass(frozen=True)
class Figures:
    """What one cell reached; all of it 0..1."""

    validation: float
    test: float
    macro_f1: float
    """On test, as the following."""
    alone: dict[str, float]
    """Each modality's own accuracy."""
    right: NDArray[np.bool_]
    """`(samples,)` where the answer is right."""
    micro_auc: float | None = None
    """Where the dataset asks for it."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    label: str
    family: str
    """Its own name, where it stands alone."""
    cells: int
    """How many seeds there should be."""
    figures: dict[int, Figures]
    """By seed, of those that are finished."""

    @property
    def areas(self) -> list[float]:
        """The micro-AUC of every seed, where the dataset asks for it."""
        return [each.micro_auc for each in self.figures.values() if each.micro_auc is not None]

    @property
    def modalities(self) -> list[str]:
        """Those with an accuracy of their own."""
        return list(next(iter(self.figures.values())).alone) if self.figures else []


@dataclass(frozen=True)
class Comparison:
    """The reference against one row."""

    other: Row
    seeds: tuple[int, ...]
    difference: Difference
    adjusted: float
    """p after Holm's correction."""


@dataclass(frozen=True)
class Found:
    """A table with everything in it."""

    table: Table
    candidates: tuple[Row, ...]
    """Every row there is."""
    rows: tuple[Row, ...]
    """One of each family."""
    reference: Row | None
    comparisons: tuple[Comparison, ...]


def outputs(cells: Sequence[Cell]) -> tuple[dict[tuple[str, int], dict[str, Scores]], dict[tuple[str, int], str]]:
    """Every finished cell's outputs, and why others have none.

    Raises:
        CheckpointError: two cells were tested on different samples.
    """
    found: dict[tuple[str, int], dict[str, Scores]] = {}
    missing: dict[tuple[str, int], str] = {}
    first: tuple[Cell, Scores] | None = None
    for cell in cells:
        key, state = (cell.variant, cell.seed), cell.state()
        if state != "finished":
            missing[key] = {"interrupted": "not finished", "absent": "not trained"}.get(state, "of other options")
            continue
        try:
            found[key] = scoring.load(cell.folder / checkpoint.SCORES)
            test = found[key]["test"]
        except (CheckpointError, KeyError) as error:
            missing[key] = str(error)
            found.pop(key, None)
            continue
        first = first or (cell, test)
        same = all(np.array_equal(getattr(test, part), getattr(first[1], part)) for part in ("samples", "labels"))
        if not same:
            raise CheckpointError(
                f"expected the same test samples in every run, found others in {cell.folder} than in "
                f"{first[0].folder}; was the table changed, or has it no split column?"
            )
    return found, missing


def rows_of(table: Table, cells: Sequence[Cell], scores: Mapping[tuple[str, int], dict[str, Scores]]) -> list[Row]:
    """Every variant of a table; a method that trains each modality by itself gives a row of each, a family."""
    rows = []
    for variant in table.variants:
        own = [cell for cell in cells if cell.variant == variant.name]
        fused = {cell.seed: scores[variant.name, cell.seed] for cell in own if (variant.name, cell.seed) in scores}
        family = variant.family or variant.name
        area = catalog.load("datasets", own[0].config.dataset).MICRO_AUC
        if not catalog.load("methods", own[0].config.method).SEPARATE:
            rows.append(Row(variant.name, variant.label, family, len(own), _figures(fused, area)))
            continue
        names = sorted({name for found in fused.values() for name in found["test"].shares})
        for name in names:
            figures = _figures({seed: _alone(found, name) for seed, found in fused.items()}, area)
            label = f"{variant.label} ({name})"
            rows.append(Row(f"{variant.name}:{name}", label, f"{family}:single", len(own), figures))
        label = f"{variant.label}, late fusion"
        rows.append(Row(variant.name, label, family, len(own), _figures(fused, area)))
    return rows


def _alone(found: dict[str, Scores], modality: str) -> dict[str, Scores]:
    """The outputs of one modality for those of all."""
    return {
        split: Scores(scores.labels, scores.samples, scores.shares[modality], {modality: scores.shares[modality]})
        for split, scores in found.items()
    }


def _figures(outputs: Mapping[int, dict[str, Scores]], area: bool) -> dict[int, Figures]:
    """By seed; `area` asks for the micro-AUC."""
    figures = {}
    for seed, found in outputs.items():
        test = evaluate(found["test"])
        right = found["test"].logits.argmax(axis=1) == found["test"].labels
        validation = evaluate(found["val"]).accuracy
        micro_auc = micro_auc_of(found["test"]) if area else None
        figures[seed] = Figures(validation, test.accuracy, test.macro_f1, test.modality_accuracy, right, micro_auc)
    return figures


def found(table: Table, candidates: Sequence[Row], groups: NDArray[np.int64], resamples: int) -> Found:
    """Choose a row of each family on validation, and test the reference against the others.

    Args:
        table: what is compared.
        candidates: its rows.
        groups: of the test samples, which are resampled together.
        resamples: of the bootstrap.
    """
    families: dict[str, list[Row]] = {}
    for row in candidates:
        families.setdefault(row.family, []).append(row)
    rows = []
    for members in families.values():
        validation = {row.name: {seed: each.validation for seed, each in row.figures.items()} for row in members}
        chosen = choose(validation)
        rows.append(next((row for row in members if row.name == chosen), members[0]))
    reference = next((row for row in rows if row.family == table.reference), None)
    known = []
    for row in rows:
        if reference is None or row is reference:
            continue
        seeds = tuple(seed for seed in reference.figures if seed in row.figures)
        if seeds:
            right, other = (np.stack([each.figures[seed].right for seed in seeds]) for each in (reference, row))
            known.append((row, seeds, paired_bootstrap(right, other, groups, resamples)))
    adjusted = holm([difference.p for _, _, difference in known])
    comparisons = [Comparison(*each, p) for each, p in zip(known, adjusted, strict=True)]
    return Found(table, tuple(candidates), tuple(rows), reference, tuple(comparisons))
