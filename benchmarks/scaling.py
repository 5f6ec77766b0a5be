"""How a cost grows with the memory: doublings, the straight line through the points, and the plot of both."""

from pathlib import Path

import numpy as np

LIMIT = 2.0
"""Doubling the memory may at most double a cost that is linear."""


def doublings(costs: dict[int, float]) -> dict[int, float]:
    """For each size whose half was measured too: how many times the half's cost it has."""
    return {size: cost / costs[size // 2] for size, cost in costs.items() if size // 2 in costs}


def line(costs: dict[int, float]) -> tuple[float, float]:
    """Fixed cost and cost of an entry, by least squares of the relative error."""
    sizes, values = np.array(list(costs), dtype=float), np.array(list(costs.values()))
    terms = np.stack([1.0 / values, sizes / values], axis=1)
    fixed, each = np.linalg.lstsq(terms, np.ones(len(values)), rcond=None)[0]
    return float(fixed), float(each)


def distance(costs: dict[int, float]) -> float:
    """How far the farthest point lies from the line, as a share of the line's value."""
    fixed, each = line(costs)
    return max(abs(cost / (fixed + each * size) - 1.0) for size, cost in costs.items())


def plot(curves: dict[str, dict[int, float]], title: str, path: Path) -> None:
    """Milliseconds against entries, both logarithmic, with each curve's straight line and the slope of proportion.

    Args:
        curves: by name, `{entries: milliseconds}`.
        title: what was measured, and where.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.subplots()
    ends = [1, 0]
    for name, costs in curves.items():
        sizes = np.array(list(costs))
        fixed, each = line(costs)
        (dots,) = axes.plot(sizes, list(costs.values()), "o", label=f"{name}, median")
        label = f"{fixed:.2g} ms + {1e3 * each:.2g} µs an entry"
        fine = np.geomspace(sizes[0], sizes[-1], 100)
        axes.plot(fine, fixed + each * fine, color=dots.get_color(), linewidth=1, label=label)
        ends = [int(sizes[0]), int(sizes[-1])]
        lowest = costs[ends[0]]
    proportional = [lowest * end / ends[0] for end in ends]
    axes.plot(ends, proportional, ":", color="grey", label="twice the memory, twice the cost")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xlabel("entries in the memory")
    axes.set_ylabel("forward and backward, ms")
    axes.set_title(title, fontsize=10)
    axes.grid(True, which="both", linewidth=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)
