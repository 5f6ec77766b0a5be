"""Results as Markdown for people, CSV with a line for each cell, and JSON with everything."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training import checkpoint
from training.comparison.cells import Cell
from training.comparison.data import Groups
from training.comparison.markdown import FIGURES, accuracies, candidates, conditions, deviation, differences, mean
from training.comparison.rows import Found, Row

MARKDOWN, CSV, JSON = "results.md", "results.csv", "results.json"
COLUMNS = ("variant", "seed", "method", "status", "best_epoch", "validation", "test", "macro_f1")
Key = tuple[str, int]


@dataclass(frozen=True)
class Report:
    """All that is to be told."""

    command: str
    """That makes it again."""
    cells: Sequence[Cell]
    missing: Mapping[Key, str]
    """Why a cell is not in the tables."""
    tables: Sequence[Found]
    groups: Groups
    """Of the test samples."""
    resamples: int


def write(report: Report, out: Path) -> str:
    """Write the three files; returns the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    text = markdown(report)
    (out / MARKDOWN).write_text(text, encoding="utf-8")
    (out / CSV).write_text(_csv(report), encoding="utf-8", newline="")
    checkpoint.write_json(out / JSON, _json(report))
    return text


def markdown(report: Report) -> str:
    """The tables and what a reader must know of them."""
    lines = ["# Comparison", "", *conditions(report.cells), "", "```", report.command, "```"]
    if report.missing:
        lines += ["", f"**Of {len(report.cells)} trainings, {len(report.missing)} are missing:**", ""]
        lines += _reasons(report.missing)
    for found in report.tables:
        lines += ["", f"## {found.table.title}", "", *accuracies(found), *candidates(found)]
        lines += differences(found, report.groups, report.resamples)
        lines += ["", *found.table.remarks] if found.table.remarks else []
    return "\n".join(lines) + "\n"


def _reasons(missing: Mapping[Key, str]) -> list[str]:
    """A line for each variant and reason."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for (name, seed), why in missing.items():
        seeds.setdefault((name, why), []).append(str(seed))
    return [
        f"- {name}, {'seed' if len(own) == 1 else 'seeds'} {', '.join(own)}: {why}"
        for (name, why), own in seeds.items()
    ]


def _csv(report: Report) -> str:
    """A line for each cell; a modality's own accuracy on test is in a column of its name."""
    figures = {
        (row.name, seed): each
        for found in report.tables
        for row in found.candidates
        for seed, each in row.figures.items()
    }
    modalities = sorted({name for each in figures.values() for name in each.alone})
    more = ["micro_auc"] if any(each.micro_auc is not None for each in figures.values()) else []
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow((*COLUMNS, *more, *(f"test_{name}" for name in modalities)))
    for cell in report.cells:
        each = figures.get((cell.variant, cell.seed))
        status = report.missing.get((cell.variant, cell.seed), "finished")
        start = (cell.variant, cell.seed, cell.config.method, status)
        if each is None:
            writer.writerow((*start, *[""] * (len(COLUMNS) - len(start) + len(more) + len(modalities))))
            continue
        measured = (best_epoch(cell), each.validation, each.test, each.macro_f1)
        areas = [each.micro_auc] if more else []
        writer.writerow((*start, *measured, *areas, *(each.alone.get(name, "") for name in modalities)))
    return buffer.getvalue()


def best_epoch(cell: Cell) -> int | None:
    """Which epoch's weights a finished run kept."""
    found = checkpoint.read_json(cell.folder / checkpoint.RUN).get("best_epoch")
    return found if isinstance(found, int) else None


def _json(report: Report) -> dict[str, Any]:
    return {
        "command": report.command,
        "versions": checkpoint.versions(),
        "resamples": report.resamples,
        "resampled": report.groups.remark,
        "remarks": conditions(report.cells),
        "cells": [
            {
                "variant": cell.variant,
                "seed": cell.seed,
                "folder": str(cell.folder),
                "status": report.missing.get((cell.variant, cell.seed), "finished"),
                "config": asdict(cell.config),
            }
            for cell in report.cells
        ],
        "tables": [_table(found) for found in report.tables],
    }


def _table(found: Found) -> dict[str, Any]:
    chosen = {row.name for row in found.rows}
    return {
        "title": found.table.title,
        "remarks": list(found.table.remarks),
        "reference": found.reference.name if found.reference is not None else None,
        "rows": [{**_row(row), "chosen": row.name in chosen} for row in found.candidates],
        "comparisons": [
            {
                "other": each.other.name,
                "seeds": list(each.seeds),
                **asdict(each.difference),
                "p_holm": each.adjusted,
                "verdict": each.difference.verdict,
            }
            for each in found.comparisons
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    more = ["micro_auc"] if row.areas else []
    seeds = {
        str(seed): {name: getattr(each, name) for name in (*FIGURES, *more, "alone")}
        for seed, each in row.figures.items()
    }
    values = {name: [getattr(each, name) for each in row.figures.values()] for name in (*FIGURES, *more)}
    for modality in row.modalities:
        values[modality] = [each.alone[modality] for each in row.figures.values()]
    summary = {name: {"mean": mean(known), "deviation": deviation(known)} for name, known in values.items() if known}
    return {"name": row.name, "label": row.label, "family": row.family, "seeds": seeds, "summary": summary}
