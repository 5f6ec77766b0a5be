"""What --by asks for: columns checked before anything is decoded, measured after the training, told in lines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from bundle.checking import one_line
from training.errors import ConfigError
from training.evaluate import Scores
from training.measures.groups import FEWEST, Group, Groups, measure
from training.pairs import Pairs

MOST = 50
"""Distinct values of a column; more are no groups."""
LISTED = 12
"""Columns that a message names."""
SPLITS = {"val": "validation", "test": "test"}
EMPTY = "(empty)"
"""What stands for cells without text."""


def check(pairs: Pairs, by: Sequence[str]) -> None:
    """Refuse columns that cannot be measured by.

    Raises:
        ConfigError: a column that the data has not, or one of more than 50 distinct values.
    """
    for column in by:
        if column not in pairs.columns:
            near = get_close_matches(column, list(pairs.columns), n=3)
            hint = f" (did you mean {', '.join(near)}?)" if near else ""
            more = ", …" if len(pairs.columns) > LISTED else ""
            listed = ", ".join(list(pairs.columns)[:LISTED]) + more
            raise ConfigError(f"--by: the data has no column {column!r}{hint}; it has {listed or 'none to measure by'}")
        count = len({value.strip() for value in pairs.columns[column]})
        if count > MOST:
            raise ConfigError(
                f"--by {column}: expected at most {MOST} different values, found {count}; add a column that joins them "
                "into fewer, such as ranges of a number, and name that one"
            )


def breakdowns(pairs: Pairs, by: Sequence[str], scores: Mapping[str, Scores]) -> list[Groups]:
    """Every column on validation and test.

    Raises:
        ConfigError: a column that cannot be measured by.
    """
    check(pairs, by)
    found = []
    for column in by:
        values = [value.strip() or EMPTY for value in pairs.columns[column]]
        for split, name in SPLITS.items():
            own = [values[sample] for sample in scores[split].samples.tolist()]
            found.append(measure(scores[split], column, name, own))
    return found


def facts(found: Sequence[Groups]) -> dict[str, dict[str, Any]]:
    """By column and split, what run.json keeps."""
    kept: dict[str, dict[str, Any]] = {}
    for one in found:
        values = [
            {"value": group.value, **asdict(group.figures), "interval": list(group.interval), "small": group.small}
            for group in one.groups
        ]
        worst = None if one.worst is None else one.worst.value
        kept.setdefault(one.column, {})[one.split] = {"values": values, "worst": worst}
    return kept


def lines(found: Groups) -> list[str]:
    """One split by one column for people, the worst value named."""
    width = max(len(named(group)) for group in found.groups)
    told = [f"{found.split} by {one_line(found.column)}, with 95 % intervals of the accuracy"]
    told += [f"  {named(group):<{width}}  {_figures(group)}" for group in found.groups]
    return [*told, f"  {verdict(found)}"]


def named(group: Group) -> str:
    """A value on one line."""
    return one_line(group.value)


def verdict(found: Groups) -> str:
    """Which value is worst, and whether that may be chance; or why none can be named."""
    worst, large = found.worst, found.large
    if len(large) < 2:
        which = f"only {named(large[0])} has" if large else "none has"
        return f"no worst value of {one_line(found.column)}: {which} {FEWEST} samples or more"
    if worst is None:
        return f"no worst value of {one_line(found.column)}: those with {FEWEST} samples or more are alike"
    accuracy, whole = worst.figures.accuracy, found.whole.accuracy
    chance = ", which may be chance: its interval reaches that far" if worst.interval[1] >= whole else ""
    return f"worst {one_line(found.column)}: {named(worst)}, accuracy {accuracy:.3f} where all have {whole:.3f}{chance}"


def _figures(group: Group) -> str:
    low, high = group.interval
    figures, own = group.figures, group.figures.modality_accuracy
    alone = ", ".join(f"{name} alone {value:.3f}" for name, value in own.items())
    small = ", too small to say" if group.small else ""
    told = f"accuracy {figures.accuracy:.3f} ({low:.3f} to {high:.3f}), macro-F1 {figures.macro_f1:.3f}; {alone}"
    return f"{told}; {figures.samples} samples{small}"
