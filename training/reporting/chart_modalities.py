"""Draws what concerns pairs of modalities: how far apart they lie, and how well one predicts another."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.container import Container
from matplotlib.figure import Figure

from training.distance import Distance
from training.realisability import Realisability
from training.reporting.style import WIDTH, Theme, legend, panels

Pair = tuple[str, str]
PARTS = ("all samples", "within class")


def draw_distances(found: Mapping[Pair, Distance], theme: Theme) -> Figure:
    """For each pair of modalities a bar over all samples and one within class."""
    figure = Figure(figsize=(WIDTH, 1.5 + 0.75 * len(found)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(found))
    columns = ([one.overall for one in found.values()], [one.within for one in found.values()])
    handles = []
    for number, values in enumerate(columns):
        bars = axes.barh(rows + 0.36 * (number - 0.5), values, 0.32, color=(theme.strong, theme.second)[number])
        axes.bar_label(bars, [_number(value) for value in values], padding=4, fontsize=9)
        handles.append(bars)
    axes.axvline(0.0, color=theme.ink, linewidth=0.8)
    axes.set_yticks(rows, [f"{one} –\n{other}" for one, other in found])
    axes.set_ylim(len(found) - 0.45, -0.55)
    axes.margins(x=0.15)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("squared Gaussian-kernel distance (MMD²)")
    axes.grid(axis="x")
    legend(figure, handles, PARTS)
    return figure


def draw_distance_by_weight(found: Mapping[Pair, Mapping[float, Sequence[Distance]]], theme: Theme) -> Figure:
    """Distance against α, a panel for each pair: mean over the seeds, and the standard deviation where there are two.

    Args:
        found: by pair, then by α in ascending order, the distances of the seeds.
        theme: of the page.
    """
    figure, axes = panels(len(found), 2.7)
    handles: list[Container] = []
    for panel, (pair, by_weight) in zip(axes, found.items(), strict=True):
        places = np.arange(len(by_weight))
        handles = []
        for number in range(len(PARTS)):
            values = [[(one.overall, one.within)[number] for one in seeds] for seeds in by_weight.values()]
            handles.append(
                panel.errorbar(
                    places + 0.012 * len(places) * (2 * number - 1),
                    [float(np.mean(seeds)) for seeds in values],
                    [deviation(seeds) for seeds in values],
                    color=(theme.strong, theme.second)[number],
                    marker="os"[number],
                    linestyle=("-", "--")[number],
                    capsize=3,
                )
            )
        panel.set_title(" – ".join(pair))
        panel.set_ylabel("MMD²")
        panel.set_xticks(places, [f"{weight:g}" for weight in by_weight])
        panel.set_xlim(-0.5, len(by_weight) - 0.5)
        panel.axhline(0.0, color=theme.ink, linewidth=0.8)
        panel.grid(axis="y")
    axes[-1].set_xlabel("α, weight of the information gradient")
    legend(figure, handles, PARTS)
    return figure


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample; 0 of a single value, which has none."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def draw_realisability(found: Mapping[Pair, Realisability], theme: Theme) -> Figure:
    """For each direction the error relative to that of predicting the mean."""
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(found)), layout="constrained")
    axes = figure.subplots()
    values = [one.normalised for one in found.values()]
    axes.barh(range(len(found)), values, color=[theme.modality(given) for given, _ in found], height=0.62)
    right = max(1.25, 1.2 * np.nanmax([1.0, *values]))
    for row, value in enumerate(values):
        axes.text(right, row, _number(value), ha="right", va="center", fontsize=9)
    axes.axvline(1.0, color=theme.ink, linewidth=1.2, linestyle=":")
    axes.set_yticks(range(len(found)), [f"{given} → {wanted}" for given, wanted in found])
    axes.set_ylim(len(found) - 0.45, -0.55)
    axes.set_xlim(0.0, right)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("error relative to predicting the mean (dotted: 1)")
    axes.grid(axis="x")
    return figure


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.3f}"
