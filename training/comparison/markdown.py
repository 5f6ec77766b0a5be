"""A comparison's tables as Markdown, in percent and points."""

import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from training import checkpoint
from training.comparison.cells import Cell, leaves
from training.comparison.data import Groups
from training.comparison.rows import Found, Row
from training.errors import CheckpointError

FIGURES = ("validation", "test", "macro_f1")
ABSENT = "–"
OWN = ("out", "method", "method_options", "seed", "cache", "workers")
"""Options in which variants differ by their nature, or that change no outcome."""


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return statistics.fmean(values)


def deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None of a single value."""
    return statistics.stdev(values) if len(values) > 1 else None


def percent(values: Sequence[float]) -> str:
    """Mean ± standard deviation, in percent."""
    if not values:
        return ABSENT
    spread = deviation(values)
    return f"{100 * mean(values):.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in (header, *rows)]
    return [lines[0], "|---" * len(header) + "|", *lines[1:]]


def accuracies(found: Found) -> list[str]:
    """The main table: one row of each family."""
    modalities = sorted({name for row in found.rows for name in row.modalities})
    area = any(row.areas for row in found.rows)
    named = ["validation", "test", "macro-F1", *(["micro-AUC"] if area else [])]
    header = ["method", "seeds", *named, *(f"{name} alone" for name in modalities)]
    rows = []
    for row in found.rows:
        figures = list(row.figures.values())
        own = [[each.alone[name] for each in figures if name in each.alone] for name in modalities]
        measured = [[getattr(each, name) for each in figures] for name in FIGURES]
        measured += [row.areas] if area else []
        rows.append([row.label, _seeds(row), *(percent(values) for values in (*measured, *own))])
    text = "In %, mean ± standard deviation over seeds; all but validation on test."
    return [text, "", *grid(header, rows)]


def _seeds(row: Row) -> str:
    done = len(row.figures)
    return str(done) if done == row.cells else f"{done} of {row.cells}"


def candidates(found: Found) -> list[str]:
    """Every member of the families that have several, and which one was chosen."""
    families = [row.family for row in found.candidates]
    several = [row for row in found.candidates if families.count(row.family) > 1]
    if not several:
        return []
    chosen = {row.name for row in found.rows}
    unfinished = any(len(row.figures) < row.cells for row in several)
    rows = []
    for row in several:
        figures = list(row.figures.values())
        measured = [percent([getattr(each, name) for each in figures]) for name in FIGURES[:2]]
        rows.append([row.label, _seeds(row), *measured, "chosen" if row.name in chosen and figures else ""])
    text = "Candidates: of each family, the one with the best mean validation accuracy is in the table above."
    late = " Some are unfinished: the choice may change." if unfinished else ""
    return ["", text + late, "", *grid(("candidate", "seeds", "validation", "test", ""), rows)]


def differences(found: Found, groups: Groups, resamples: int) -> list[str]:
    """The reference against every other row."""
    if found.reference is None or not found.reference.figures:
        return ["", f"No differences are tested: the reference, {found.table.reference}, has no finished run."]
    if not found.comparisons:
        return []
    rows = []
    for each in found.comparisons:
        result = each.difference
        interval = f"[{100 * result.low:+.1f}, {100 * result.high:+.1f}]"
        cells = (f"{100 * result.mean:+.1f}", interval, _p(result.p), _p(each.adjusted), str(len(each.seeds)))
        rows.append([each.other.label, *cells, result.verdict])
    name, number = found.reference.label, len(rows)
    sentences = (
        f"{name} minus each other row, in points of test accuracy: paired bootstrap over seeds and test samples, "
        f"{resamples:,} resamples.",
        groups.remark,
        f"Holm's p allows for {number} {'comparison' if number == 1 else 'comparisons'}.",
        f"The verdict is on {name}: noise where the interval contains 0.",
    )
    text = " ".join(sentence for sentence in sentences if sentence)
    header = ("against", "difference", "95 % interval", "p", "p (Holm)", "seeds", "verdict")
    alone = any(len(each.seeds) == 1 for each in found.comparisons)
    warning = ["", "With one seed, the interval says nothing of how much seeds differ."] if alone else []
    return ["", text, "", *grid(header, rows), *warning]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def conditions(cells: Sequence[Cell]) -> list[str]:
    """What all trainings have in common, and what they have not beside their method."""
    config = cells[0].config
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    facts = _facts(cells)
    names = facts["modalities"] or list(config.modalities)
    encoders = ", ".join(f"{name} by {config.of(name).encoder}" for name in names)
    counts = ", ".join(f"{count:,} {split}" for split, count in facts["samples"].items())
    classes = f"; {len(facts['labels'])} classes" if facts["labels"] else ""
    source = f" ({path})" if (path := getattr(config.dataset_options, "path", None)) is not None else ""
    lines = [
        f"Data set {config.dataset}{source}" + (f": {counts} samples{classes}." if counts else "."),
        f"Encoders: {encoders or 'the defaults'}; fusion {config.fusion}.",
        f"But for what a method itself changes, all have the same seeds ({', '.join(map(str, seeds))}), first weights, "
        f"epochs ({config.epochs}), batches of {config.batch_size} in the same order, augmentation, and optimiser "
        f"({config.optimiser}, learning rate {config.learning_rate:g}, {config.schedule}).",
        "The epoch is chosen on validation." if config.keep == "best" else "The last epoch is kept.",
    ]
    other = _differing([cell for cell in cells if cell.seed == seeds[0]])
    if other:
        lines.append(f"**Not the same, beside the method: {'; '.join(other)}.**")
    changed = _other_data(cells)
    if changed:
        lines.append(f"**The data changed between the trainings: {', '.join(changed)} had other data than the first.**")
    return lines


def _facts(cells: Sequence[Cell]) -> dict[str, Any]:
    """What the first finished run says of the data."""
    for cell in cells:
        try:
            run = checkpoint.read_json(cell.folder / checkpoint.RUN)
            return {**run["data"], "modalities": list(run["modalities"])}
        except (CheckpointError, KeyError, TypeError):
            continue
    return {"samples": {}, "labels": [], "modalities": []}


def _other_data(cells: Sequence[Cell]) -> list[str]:
    """Runs whose data was not that of the first one with their seed and modalities."""
    first: dict[tuple[int, str, tuple[str, ...]], Any] = {}
    found = []
    for cell in cells:
        with suppress(CheckpointError):
            fingerprint = checkpoint.read_json(cell.folder / checkpoint.DATA).get("fingerprint")
            same = first.setdefault((cell.seed, repr(cell.config.dataset_options), cell.config.modalities), fingerprint)
            if fingerprint != same:
                found.append(cell.name)
    return found


def _differing(cells: Sequence[Cell]) -> list[str]:
    """Options beside those of the method that are not the same in all variants."""
    found = []
    values = {cell.variant: dict(leaves(asdict(cell.config))) for cell in cells}
    for name in dict.fromkeys(name for options in values.values() for name in options):
        if name.split(".")[0] not in OWN and len({str(options.get(name)) for options in values.values()}) > 1:
            each = ", ".join(f"{variant} {options.get(name, ABSENT)}" for variant, options in values.items())
            found.append(f"{name} ({each})")
    return found
