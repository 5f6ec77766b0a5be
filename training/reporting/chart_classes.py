"""Draws what concerns the classes: confidences, confusions, and the joint features in the plane."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.reporting.confidence import FUSED, Confidence, Mistake
from training.reporting.style import MARKERS, WIDTH, Theme, class_names, legend, marker

CLASSES = 30
"""Classes that a figure can show by name."""
NUMBERED = 14
"""Classes up to which the cells of a matrix hold their counts."""
NAMED_POINTS = 10
"""Classes that are told apart in the plane where there are more than `CLASSES`: the largest."""


def draw_confidence(found: Confidence, labels: Sequence[str], theme: Theme) -> Figure:
    """A row for each class: a marker for each modality's confidence in the true class, and one for the fused."""
    chosen = found.most_different(CLASSES)
    figure = Figure(figsize=(WIDTH, 1.5 + 0.27 * len(chosen)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(chosen))
    own = [means[chosen] for name, means in found.means.items() if name != FUSED]
    axes.hlines(rows, np.min(own, axis=0), np.max(own, axis=0), color=theme.faint, linewidth=2.5, zorder=1)
    handles = []
    for name, means in found.means.items():
        fused = name == FUSED
        (line,) = axes.plot(
            means[chosen],
            rows,
            marker(name),
            color=theme.modality(name),
            markersize=12 if fused else 7,
            markeredgewidth=2.4 if fused else 0.8,
            markeredgecolor=theme.ink if fused else theme.background,
            zorder=2 if fused else 3,
            clip_on=False,
        )
        handles.append(line)
    class_rows(axes, chosen, labels)
    axes.set_xlim(0, 1)
    axes.set_xlabel("mean probability of the true class")
    axes.grid(axis="x")
    legend(figure, handles, list(found.means))
    return figure


def draw_confusion(matrix: NDArray[np.int64], labels: Sequence[str], theme: Theme) -> Figure:
    """Share of each true class (row) that is taken for each class (column); for few classes with the counts."""
    count = len(matrix)
    side = min(5.2, 1.9 + 0.32 * count)
    figure = Figure(figsize=(WIDTH, side), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap=theme.scale(), vmin=0.0, vmax=1.0)
    if count <= NUMBERED:
        for row, column in np.ndindex(count, count):
            if matrix[row, column]:
                ink = theme.background if shares[row, column] > 0.55 else theme.ink
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink, fontsize=8)
    size = 9.0 if count <= NUMBERED else 7.0
    names = class_names(labels)
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    bar.outline.set_visible(False)
    return figure


def draw_mistakes(found: Sequence[Mistake], labels: Sequence[str], theme: Theme) -> Figure:
    """The most frequent confusions where classes are too many for a matrix: a bar for each, the counts beside it."""
    names = class_names(labels)
    figure = Figure(figsize=(WIDTH, 1.1 + 0.27 * len(found)), layout="constrained")
    axes = figure.subplots()
    shares = [mistake.samples / mistake.of for mistake in found]
    bars = axes.barh(range(len(found)), shares, color=theme.strong, height=0.65)
    axes.bar_label(bars, [f"{mistake.samples} of {mistake.of}" for mistake in found], padding=3, fontsize=8)
    rows = [f"{names[mistake.true]} → {names[mistake.taken_for]}" for mistake in found]
    axes.set_yticks(range(len(found)), rows, fontsize=7.5)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.margins(x=0.18)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the true class")
    return figure


def draw_embedding(
    points: NDArray[np.float32], targets: NDArray[np.int64], labels: Sequence[str], theme: Theme
) -> Figure:
    """A point for each sample, a colour and a marker for each class; of many classes the largest, the others faint."""
    present, counts = np.unique(targets, return_counts=True)
    named = present if len(present) <= CLASSES else np.sort(present[np.argsort(-counts, kind="stable")[:NAMED_POINTS]])
    columns = 2
    figure = Figure(figsize=(WIDTH, 4.6 + 0.21 * -(-len(named) // columns)), layout="constrained")
    axes = figure.subplots()
    size = float(np.clip(20000 / len(points), 14, 40))
    handles, names = [], class_names(labels)
    others = ~np.isin(targets, named)
    if others.any():
        axes.scatter(points[others, 0], points[others, 1], s=size * 0.6, color=theme.faint, linewidths=0)
    for position, label in enumerate(named):
        round_, colour = divmod(position, len(theme.palette))
        mark, ink = MARKERS[round_ % len(MARKERS)], theme.palette[colour]
        x, y = points[targets == label].T
        axes.scatter(x, y, s=size, marker=mark, color=ink, linewidths=0.4, edgecolors=theme.background)
        handles.append(Line2D([], [], linestyle="", marker=mark, color=ink))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    shown = [names[label] for label in named]
    if others.any():
        handles.append(Line2D([], [], linestyle="", marker="o", color=theme.faint))
        shown.append(f"{len(present) - len(named)} other classes")
    legend(figure, handles, shown, columns)
    return figure


def class_rows(axes: Axes, chosen: Sequence[int], labels: Sequence[str]) -> None:
    """Name rows by classes, the first at the top."""
    names = class_names(labels)
    axes.set_yticks(range(len(chosen)), [names[label] for label in chosen])
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
