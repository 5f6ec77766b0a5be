"""Draws what changes over the epochs: accuracies, estimated information, gradient norms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from training.reporting.confidence import FUSED
from training.reporting.epochs import Series
from training.reporting.style import Theme, legend, marker, panels

MARKED = 40
"""Epochs up to which each has a marker; beyond, only those do that stand alone, where no line would show them."""


def draw_accuracies(epochs: Sequence[int], found: Series, guess: float, kept: int, theme: Theme) -> Figure:
    """A line for each modality and the fused classifier, against what guessing reaches.

    Args:
        epochs: their numbers.
        found: accuracies by modality, 0..1.
        guess: accuracy of naming the commonest class.
        kept: the epoch whose weights were kept.
        theme: of the page.
    """
    figure, (axes,) = panels(1, 3.6)
    handles = [_line(axes, epochs, values, name, theme) for name, values in found.items()]
    handles.append(axes.axhline(guess, color=theme.ink, linewidth=1.0, linestyle=":"))
    _kept(axes, epochs, kept, theme)
    axes.set(ylim=(0, 1.03), ylabel="accuracy (validation)")
    _finish(axes, epochs)
    legend(figure, handles, [*found, "commonest class"])
    return figure


def draw_information(epochs: Sequence[int], found: Series, kept: int, theme: Theme) -> Figure:
    """The estimate of the modalities' mutual information and the lower bound on it, as far as there are."""
    figure, (axes,) = panels(1, 3.2)
    handles, names = [], []
    for name, values in found.items():
        label, mark, dashes = ("lower bound", "s", "--") if name.endswith("bound") else ("estimate", "o", "-")
        marks = _marks(values, mark, every=len(epochs) <= MARKED)
        handles += axes.plot(epochs, values, dashes, color=theme.strong, **marks)
        names.append(label)
    axes.axhline(0.0, color=theme.ink, linewidth=0.8)
    _kept(axes, epochs, kept, theme)
    axes.set_ylabel("nats")
    _finish(axes, epochs)
    legend(figure, handles, names)
    return figure


def draw_gradient_shares(epochs: Sequence[int], found: Series, kept: int, theme: Theme) -> Figure:
    """A line for each modality's part of the gradient, against equal parts."""
    figure, (axes,) = panels(1, 3.0)
    handles = [_line(axes, epochs, values, name, theme) for name, values in found.items()]
    handles.append(axes.axhline(1 / len(found), color=theme.ink, linewidth=1.0, linestyle=":"))
    _kept(axes, epochs, kept, theme)
    axes.set(ylim=(0, 1.03), ylabel="part of the gradient")
    _finish(axes, epochs)
    legend(figure, handles, [*found, "equal parts"])
    return figure


def draw_gradient_norms(epochs: Sequence[int], found: Mapping[str, Series], kept: int, theme: Theme) -> Figure:
    """A panel for each term of the loss on one logarithmic scale, a line for each modality; a norm that is 0 or
    absent is left out.
    """
    figure, axes = panels(len(found), 2.1)
    handles, names = [], list(next(iter(found.values())))
    for panel, (term, norms) in zip(axes, found.items(), strict=True):
        positive = {name: [value if value > 0.0 else np.nan for value in values] for name, values in norms.items()}
        handles = [_line(panel, epochs, values, name, theme) for name, values in positive.items()]
        panel.set_title(term)
        panel.set_ylabel("norm")
        _kept(panel, epochs, kept, theme)
        if np.isnan([*positive.values()]).all():
            panel.text(0.5, 0.5, _nothing(norms), ha="center", va="center", transform=panel.transAxes)
    values = np.array([value for norms in found.values() for line in norms.values() for value in line])
    values = values[np.isfinite(values) & (values > 0.0)]
    for panel in axes:
        if len(values):
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_ylim(values.min() / 2.0, values.max() * 2.0)
        else:
            panel.set_yticks([])
        _finish(panel, epochs, last=panel is axes[-1])
    legend(figure, handles, names)
    return figure


def _line(axes: Axes, epochs: Sequence[int], values: Sequence[float], name: str, theme: Theme) -> Line2D:
    fused = name == FUSED
    marks = _marks(values, marker(name), every=not fused and len(epochs) <= MARKED)
    (line,) = axes.plot(epochs, values, "-", color=theme.modality(name), linewidth=2.4 if fused else 1.6, **marks)
    return line


def _marks(values: Sequence[float], mark: str, every: bool) -> dict[str, Any]:
    """Matplotlib's arguments for markers on every value, or on those alone that have no neighbour to be joined to."""
    there = np.concatenate([[False], np.isfinite(values), [False]])
    alone = np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()
    return {"marker": mark if every or alone else "", "markevery": None if every else alone}


def _nothing(norms: Series) -> str:
    """What is said of a term without any norm above 0."""
    values = np.array([*norms.values()])
    if np.isnan(values).all():
        return "absent in every epoch"
    return "0 or absent in every epoch" if np.isnan(values).any() else "0 in every epoch"


def _kept(axes: Axes, epochs: Sequence[int], kept: int, theme: Theme) -> None:
    """A faint band over the epoch whose weights were kept."""
    half = max(0.5, len(epochs) / 100)
    axes.axvspan(kept - half, kept + half, color=theme.faint, alpha=0.35, linewidth=0, zorder=0)


def _finish(axes: Axes, epochs: Sequence[int], last: bool = True) -> None:
    axes.grid()
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if last:
        axes.set_xlabel("epoch (shaded: the kept one)")
