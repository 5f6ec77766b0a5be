"""Draws the accuracy for each value of a column, with its interval, beside each modality's own."""

import numpy as np
from matplotlib.figure import Figure

from training.breakdown import named
from training.measures.groups import Groups
from training.reporting.confidence import FUSED
from training.reporting.style import WIDTH, Theme, class_names, legend, marker


def draw_groups(found: Groups, theme: Theme) -> Figure:
    """A row for each value; faint intervals are of values with too few samples to say, dotted is all samples'."""
    groups = found.groups
    figure = Figure(figsize=(WIDTH, 1.7 + 0.3 * len(groups)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(groups))
    for row, group in zip(rows, groups, strict=True):
        colour = theme.faint if group.small else theme.ink
        axes.plot(group.interval, (row, row), color=colour, linewidth=2.5, solid_capstyle="butt", zorder=1)
    handles, names = [], [*found.whole.modality_accuracy, FUSED]
    for name in names:
        fused = name == FUSED
        shown = [group.figures.accuracy if fused else group.figures.modality_accuracy[name] for group in groups]
        (line,) = axes.plot(
            shown,
            rows,
            marker(name),
            color=theme.modality(name),
            markersize=12 if fused else 6,
            markeredgewidth=2.4 if fused else 0.8,
            markeredgecolor=theme.ink if fused else theme.background,
            zorder=2 if fused else 3,
            clip_on=False,
        )
        handles.append(line)
    handles.append(axes.axvline(found.whole.accuracy, color=theme.ink, linewidth=1.0, linestyle=":", zorder=0))
    values = class_names([named(group) for group in groups])
    axes.set_yticks(rows, [f"{name} ({group.figures.samples})" for name, group in zip(values, groups, strict=True)])
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy (test)")
    axes.grid(axis="x")
    legend(figure, handles, [*names, "all samples"])
    return figure
