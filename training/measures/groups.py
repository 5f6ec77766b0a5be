"""Any figure of a split for each value of a column, and which value is served worst."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.evaluate import Evaluation, Scores, evaluate
from training.measures.intervals import wilson

Figure = TypeVar("Figure")
FEWEST = 20
"""Samples of a value below which its figures are too uncertain to say who is served worse."""


@dataclass(frozen=True)
class Group:
    """The samples that have one value."""

    value: str
    figures: Evaluation
    """Macro-F1 is over the classes that are there or predicted: groups of other classes do not compare by it."""

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % interval (Wilson)."""
        samples = self.figures.samples
        found = wilson(round(self.figures.accuracy * samples), samples)
        return found.low, found.high

    @property
    def small(self) -> bool:
        """Whether it has too few samples to say."""
        return self.figures.samples < FEWEST


@dataclass(frozen=True)
class Groups:
    """One split by one column."""

    column: str
    split: str
    """"validation" or "test"."""
    whole: Evaluation
    """Of all samples."""
    groups: tuple[Group, ...]

    @property
    def large(self) -> list[Group]:
        """Those with enough samples to say."""
        return [group for group in self.groups if not group.small]

    @property
    def worst(self) -> Group | None:
        """The lowest accuracy among those with enough samples; None where fewer than two have, or all are alike."""
        ordered = sorted(self.large, key=lambda group: group.figures.accuracy)
        unlike = ordered and ordered[0].figures.accuracy < ordered[-1].figures.accuracy
        return ordered[0] if unlike else None


def by_value(scores: Scores, values: Sequence[str], metric: Callable[[Scores], Figure]) -> dict[str, Figure]:
    """A figure for each value, numbers in their order before texts.

    Args:
        scores: of a split.
        values: `(samples,)` the column's value of each of these samples.
        metric: what is measured of the samples of one value, for instance `evaluate`.
    """
    assert len(values) == len(scores.labels)
    column = np.asarray(values, dtype=object)
    return {value: metric(subset(scores, np.flatnonzero(column == value))) for value in sorted(set(values), key=_key)}


def measure(scores: Scores, column: str, split: str, values: Sequence[str]) -> Groups:
    """What `--by` reports of one split and column; `values` as for `by_value`."""
    found = by_value(scores, values, evaluate)
    return Groups(column, split, evaluate(scores), tuple(Group(value, figures) for value, figures in found.items()))


def subset(scores: Scores, rows: NDArray[np.int64]) -> Scores:
    """The scores of some samples, whatever is kept of each; what was not measured stays empty."""
    return replace(scores, **{field.name: _rows(getattr(scores, field.name), rows) for field in fields(scores)})


def _rows(kept: Any, rows: NDArray[np.int64]) -> Any:
    if isinstance(kept, dict):
        return {name: _rows(each, rows) for name, each in kept.items()}
    return kept[rows] if isinstance(kept, np.ndarray) and len(kept) else kept


def _key(value: str) -> tuple[bool, float, str]:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    return (True, 0.0, value) if number != number else (False, number, value)
