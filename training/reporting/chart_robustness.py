"""Draws what is unlike the training data: distances with their threshold, and corruptions by severity."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from training.corruptions.corruption import SEVERITIES
from training.measures.robustness import Curve
from training.reporting.style import WIDTH, Theme, legend, panels

BINS = 30


def draw_shifts(
    found: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
    thresholds: Mapping[str, float],
    theme: Theme,
) -> Figure:
    """A panel for each modality: distances on validation (outline) and test (filled), and the threshold."""
    figure, axes = panels(len(found), 2.0, share_x=False)
    filled: dict[str, Any] = {"color": theme.second, "alpha": 0.7}
    outline: dict[str, Any] = {"histtype": "step", "color": theme.ink}
    for panel, (name, (validation, test)) in zip(axes, found.items(), strict=True):
        highest = max(float(validation.max()), float(test.max()), thresholds.get(name, 0.0))
        edges = np.linspace(0.0, 1.02 * highest or 1.0, BINS + 1).tolist()
        for values, style in ((test, filled), (validation, outline)):
            panel.hist(values, edges, weights=np.full(len(values), 1 / len(values)), **style)
        if name in thresholds:
            panel.axvline(thresholds[name], color=theme.ink, linewidth=1.4, linestyle="--")
        panel.set_title(name)
        panel.set_ylabel("share")
        panel.grid(axis="y")
    axes[-1].set_xlabel("distance from the training data")
    marks = [
        Line2D([], [], color=theme.ink, linewidth=1.2),
        Line2D([], [], color=theme.second, linewidth=6),
        Line2D([], [], color=theme.ink, linewidth=1.4, linestyle="--"),
    ]
    legend(figure, marks, ["validation", "test", "threshold"])
    return figure


def draw_corruptions(found: Sequence[Curve], theme: Theme) -> Figure:
    """A small panel for each corruption: accuracy with its interval, confidence, and what is called unusual."""
    rows = -(-len(found) // 2)
    figure = Figure(figsize=(WIDTH, 0.8 + 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    severities = range(SEVERITIES + 1)
    flagged = any(each.unusual is not None for curve in found for each in curve.standings)
    for panel, curve in zip(axes.flat, found, strict=False):
        colour, points = theme.modality(curve.modality), curve.standings
        low, high = ([getattr(each.accuracy, end) for each in points] for end in ("low", "high"))
        panel.fill_between(severities, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(severities, [each.accuracy.value for each in points], "-o", color=colour, markersize=4)
        panel.plot(severities, [each.confidence for each in points], "--", color=theme.ink)
        if flagged:
            panel.plot(severities, [each.unusual for each in points], ":", color=theme.ink, linewidth=1.4)
        panel.set_title(curve.title, fontsize=9)
        panel.set(ylim=(0, 1.02), xticks=severities, yticks=(0, 0.5, 1))
        panel.grid()
    for panel in list(axes.flat)[len(found) :]:
        panel.set_axis_off()
    for panel in (axes[-1][0], axes[-1 if len(found) % 2 == 0 else -2][1]):
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("severity")
    styles: tuple[dict[str, Any], ...] = ({"linestyle": "-", "marker": "o"}, {"linestyle": "--"}, {"linestyle": ":"})[
        : 2 + flagged
    ]
    marks = [Line2D([], [], color=theme.ink, markersize=4, **style) for style in styles]
    legend(figure, marks, ["accuracy", "mean confidence", "called unusual"][: 2 + flagged], columns=3)
    return figure
