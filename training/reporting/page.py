"""Writes a report: one HTML file that needs nothing else, and its figures as PNG files."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training import checkpoint
from training.measures.verdict import Verdict
from training.progress import track
from training.reporting.plain import plain
from training.reporting.style import DARK, LIGHT, Draw, render

TEMPLATE = "page.html"
GROUPS = "by-"
"""How the figures begin whose number depends on what was asked for."""


@dataclass(frozen=True)
class Table:
    """Numbers as text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """One figure with its explanation, or a sentence that says why it is not there."""

    name: str
    """Of the figure's file."""
    title: str
    text: str
    """How to read the figure."""
    draw: Draw | None = None
    alt: str = ""
    """The figure in words, for those who cannot see it."""
    missing: str = ""
    """Why there is no figure, as a sentence."""
    table: Table | None = None
    """The figure's numbers."""
    measured: Any = None
    """What is behind the figure, for measured.json; not given, the table."""

    def __post_init__(self) -> None:
        assert (self.draw is None) == bool(self.missing) and (self.draw is None or self.alt)


@dataclass(frozen=True)
class Page:
    """A whole report; all text is plain and escaped when written."""

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    metrics: Table | None = None
    notices: Sequence[str] = field(default_factory=tuple)
    """What is amiss, before everything else."""
    verdict: Verdict | None = None
    """In plain words, at the top."""
    lines: Sequence[str] = field(default_factory=tuple)
    """What the program says of it on the console, beside the page."""


@dataclass(frozen=True)
class _Shown:
    """A section with its figure as data URIs for light and dark pages, empty where there is none."""

    section: Section
    light: str = ""
    dark: str = ""


def write(page: Page, folder: Path) -> Path:
    """Write `report.html`, `measured.json` and `figures/` into a folder, in place of an earlier report.

    Returns the HTML's path.
    """
    figures = folder / checkpoint.FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    names = {section.name for section in page.sections}
    for left in figures.glob(f"{GROUPS}[0-9]*.png"):
        if left.stem not in names:
            left.unlink()
    shown = []
    for section in track(page.sections, "Drawing", len(page.sections)):
        path = figures / f"{section.name}.png"
        if section.draw is None:
            path.unlink(missing_ok=True)
            shown.append(_Shown(section))
            continue
        light = render(section.draw, LIGHT)
        path.write_bytes(light)
        shown.append(_Shown(section, _uri(light), _uri(render(section.draw, DARK))))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(TEMPLATE).render(page=page, shown=shown, light=LIGHT, dark=DARK)
    path = folder / checkpoint.PAGE
    aside = path.with_suffix(".part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
    checkpoint.write_json(folder / checkpoint.MEASURED, measured(page))
    return path


def measured(page: Page) -> dict[str, Any]:
    """The figures behind every section that has any, as JSON values."""
    found = {one.name: one.table if one.measured is None else one.measured for one in page.sections}
    sections = {name: plain(value) for name, value in found.items() if value is not None}
    return {"title": page.title, "facts": dict(page.facts), "verdict": plain(page.verdict), "sections": sections}


def _uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()
