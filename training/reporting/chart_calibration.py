"""Draws how far probabilities can be believed: reliability diagrams, classes one by one, and risk against coverage."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.measures.calibration import CalibrationFigures, ClassCalibration
from training.measures.selective import RiskCoverage
from training.reporting.chart_classes import class_rows
from training.reporting.style import WIDTH, Theme, legend, marker


def draw_reliability(found: Mapping[str, tuple[CalibrationFigures, CalibrationFigures]], theme: Theme) -> Figure:
    """For each output, by its name, a diagram before the temperature and one with it."""
    figure = Figure(figsize=(WIDTH, 0.5 + 2.5 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 2, sharex=True, sharey=True, squeeze=False)
    for row, (name, pair) in zip(axes, found.items(), strict=True):
        for panel, one, when in zip(row, pair, ("before", "with T"), strict=True):
            _diagram(panel, one, theme.modality(name), theme)
            error = one.equal_mass
            temperature = f" = {one.temperature:.2f}" if when == "with T" else ""
            panel.set_title(f"{name}, {when}{temperature}\nECE {error.plug_in:.3f}", fontsize=9.5)
        row[0].set_ylabel("share right")
    for panel in axes[-1]:
        panel.set_xlabel("confidence")
    marks = [
        Line2D([], [], color=theme.ink, marker="o", linestyle=""),
        Line2D([], [], color=theme.faint, linewidth=5),
        Line2D([], [], color=theme.ink, linewidth=1.0, linestyle=":"),
    ]
    legend(figure, marks, ["bin", "calibrated models", "as said"])
    return figure


def _diagram(panel: Axes, one: CalibrationFigures, colour: str, theme: Theme) -> None:
    panel.plot((0, 1), (0, 1), color=theme.ink, linewidth=1.0, linestyle=":", zorder=1)
    for each in one.reliability_mass:
        panel.plot((each.confidence,) * 2, (each.low, each.high), color=theme.faint, linewidth=5, zorder=2)
    said, right = [each.confidence for each in one.reliability_mass], [each.accuracy for each in one.reliability_mass]
    panel.plot(said, right, "o", color=colour, markeredgecolor=theme.background, zorder=3, clip_on=False)
    panel.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    panel.grid()


def draw_class_calibration(
    before: Sequence[ClassCalibration], after: Sequence[ClassCalibration], labels: Sequence[str], theme: Theme
) -> Figure:
    """A row for each class: its calibration error before (hollow) and with the temperature, and what is expected."""
    figure = Figure(figsize=(WIDTH, 1.5 + 0.27 * len(after)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(after))
    for row, each in zip(rows, after, strict=True):
        band = (each.band.low, each.band.high)
        axes.plot(band, (row, row), color=theme.faint, linewidth=5, solid_capstyle="butt", zorder=1)
    (hollow,) = axes.plot(
        [each.plug_in for each in before], rows, "o", color=theme.strong, markerfacecolor="none", markersize=7, zorder=2
    )
    (full,) = axes.plot([each.plug_in for each in after], rows, "o", color=theme.strong, markersize=7, zorder=3)
    class_rows(axes, [each.label for each in after], labels)
    axes.set_xlim(left=0)
    axes.set_xlabel("calibration error (ECE) of the class's probability")
    axes.grid(axis="x")
    legend(
        figure,
        [hollow, full, Line2D([], [], color=theme.faint, linewidth=5)],
        ["before", "with T", "calibrated models"],
    )
    return figure


def draw_coverage(found: Mapping[str, RiskCoverage], theme: Theme) -> Figure:
    """A curve for each output, by its name: the share of wrong answers among the most confident."""
    figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    axes = figure.subplots()
    handles = []
    for name, curve in found.items():
        every = max(1, len(curve.coverage) // 8)
        (line,) = axes.plot(
            curve.coverage, curve.risk, color=theme.modality(name), marker=marker(name), markevery=every, linewidth=1.6
        )
        handles.append(line)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="share of samples answered, the most confident first", ylabel="share wrong among them")
    axes.grid()
    legend(figure, handles, list(found))
    return figure
