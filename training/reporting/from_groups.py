"""The sections that --by asks for: accuracies for each value of a column of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

from bundle.checking import one_line
from training import breakdown
from training.errors import ConfigError, DataError
from training.measures.groups import FEWEST, Groups
from training.reporting import words
from training.reporting.chart_groups import draw_groups
from training.reporting.features import reread
from training.reporting.page import GROUPS, Section, Table
from training.reporting.run import Finished


@dataclass(frozen=True)
class Broken:
    """A run, broken down."""

    sections: Sequence[Section] = ()
    """One for each column."""
    lines: Sequence[str] = ()
    """The same for the console."""


def broken_down(run: Finished, by: Sequence[str]) -> Broken:
    """The sections of the columns `by`; not given, of those that the training was asked for.

    Raises:
        ConfigError: a column that cannot be measured by.
    """
    columns = tuple(dict.fromkeys(by or run.checkpoint.config.by))
    if not columns:
        return Broken()
    try:
        found = breakdown.breakdowns(reread(run.checkpoint), columns, run.scores)
    except (DataError, ConfigError) as error:
        if by and isinstance(error, ConfigError):
            raise
        missing = [Section(_name(n), _title(column), "", missing=words.MOVED) for n, column in enumerate(columns, 1)]
        return Broken(missing, [f"no figures by {', '.join(columns)}: {words.MOVED}"])
    sections = [group_section(n, [one for one in found if one.column == column]) for n, column in enumerate(columns, 1)]
    return Broken(sections, [line for one in found for line in breakdown.lines(one)])


def group_section(number: int, found: Sequence[Groups]) -> Section:
    """A column's figure of the test split, and its table of both splits."""
    test = next(one for one in found if one.split == "test")
    told = breakdown.verdict(test)
    own = list(test.whole.modality_accuracy)
    rows = []
    for one in found:
        for group in one.groups:
            figures, (low, high) = group.figures, group.interval
            accuracies = [figures.modality_accuracy[name] for name in own]
            shown = (figures.macro_f1, *accuracies)
            rows.append(
                (
                    one.split,
                    breakdown.named(group),
                    f"{100 * figures.accuracy:.1f} ({100 * low:.1f} – {100 * high:.1f})",
                    *(f"{100 * value:.1f}" for value in shown),
                    f"{figures.samples}{', too small to say' if group.small else ''}",
                )
            )
    return Section(
        _name(number),
        _title(test.column),
        f"{words.BY_VALUE.format(fewest=FEWEST)} Here: {told}.",
        lambda theme: draw_groups(test, theme),
        alt=f"Test accuracy for each value of {one_line(test.column)}, with 95 % intervals. {told}.",
        table=Table(
            ("in percent", "value", "accuracy", "macro-F1", *(f"{name} alone" for name in own), "samples"), rows
        ),
    )


def _name(number: int) -> str:
    return f"{GROUPS}{number}"


def _title(column: str) -> str:
    return f"Accuracy by {one_line(column)}"
