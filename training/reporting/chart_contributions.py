"""Draws what each modality is worth: accuracy without some, contributions by class, and what deleting it costs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.measures.contributions import ClassContribution
from training.measures.intervals import Interval
from training.reporting.chart_classes import class_rows
from training.reporting.style import WIDTH, Theme, legend, marker

Floats = NDArray[np.floating]


def draw_missing(found: Mapping[str, Interval], theme: Theme) -> Figure:
    """A row for each set of modalities that is given, by its name: accuracy with its interval."""
    figure = Figure(figsize=(WIDTH, 0.9 + 0.34 * len(found)), layout="constrained")
    axes = figure.subplots()
    for row, one in enumerate(found.values()):
        axes.plot((one.low, one.high), (row, row), color=theme.second, linewidth=2.5, solid_capstyle="butt")
        axes.plot(one.value, row, "o", color=theme.strong, markersize=7, clip_on=False)
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy (test)")
    axes.grid(axis="x")
    return figure


def draw_contributions(found: Sequence[ClassContribution], labels: Sequence[str], theme: Theme) -> Figure:
    """A row for each class: each modality's mean contribution to the class's probability, with its interval."""
    names = list(found[0].modalities)
    figure = Figure(figsize=(WIDTH, 1.5 + (0.14 + 0.13 * len(names)) * len(found)), layout="constrained")
    axes = figure.subplots()
    handles = []
    for place, name in enumerate(names):
        rows = np.arange(len(found)) + 0.6 * ((place + 0.5) / len(names) - 0.5)
        shown = [one.modalities[name] for one in found]
        ends = ([one.low for one in shown], [one.high for one in shown])
        axes.hlines(rows, *ends, color=theme.modality(name), linewidth=1.6, alpha=0.6)
        (line,) = axes.plot([one.value for one in shown], rows, marker(name), color=theme.modality(name), markersize=6)
        handles.append(line)
    axes.axvline(0.0, color=theme.ink, linewidth=0.8)
    class_rows(axes, [one.label for one in found], labels)
    axes.set_xlabel("contribution to the probability of the true class")
    axes.grid(axis="x")
    legend(figure, handles, names)
    return figure


def draw_deletion(contributions: Mapping[str, Floats], drops: Mapping[str, Floats], theme: Theme) -> Figure:
    """A point for each sample and modality: what it contributed, and what was lost without it."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    handles = []
    for name, values in contributions.items():
        (points,) = axes.plot(
            values, drops[name], marker(name), color=theme.modality(name), markersize=4.5, alpha=0.6, markeredgewidth=0
        )
        handles.append(points)
    for draw in (axes.axhline, axes.axvline):
        draw(0.0, color=theme.ink, linewidth=0.8, zorder=0)
    axes.set_xlabel("contribution to the predicted class")
    axes.set_ylabel("lost where it is another sample's")
    axes.grid()
    legend(figure, handles, list(contributions))
    return figure
