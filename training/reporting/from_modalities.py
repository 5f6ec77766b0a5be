"""The sections on what each modality is worth: accuracy without some, contributions, deletion, and gradient shares."""

import math

from training.measures.contributions import ClassContribution, class_contributions, contributions, deletion
from training.measures.intervals import Interval
from training.measures.missing import coalition_accuracies
from training.reporting import epochs, words
from training.reporting.chart_classes import CLASSES
from training.reporting.chart_contributions import draw_contributions, draw_deletion, draw_missing
from training.reporting.chart_epochs import draw_gradient_shares
from training.reporting.from_calibration import interval
from training.reporting.page import Section, Table
from training.reporting.run import Finished

NOTHING = "none"
"""Stands for the empty coalition."""


def sections(run: Finished) -> dict[str, Section]:
    """By name."""
    made = (missing_section(run), contribution_section(run), deletion_section(run), balance_section(run))
    return {section.name: section for section in made}


def missing_section(run: Finished) -> Section:
    """The accuracy to expect where modalities are missing."""
    found = coalition_accuracies(run.scores["test"], tuple(run.checkpoint.modalities))
    order = sorted(found, key=lambda name: -len(name.split("+")) if name else 0)
    shown = {name.replace("+", " + ") or NOTHING: found[name] for name in order}
    dropout = run.checkpoint.config.modality_dropout
    trained = words.DROPPED.format(dropout=f"{dropout:g}") if dropout else words.NEVER_DROPPED
    return Section(
        "missing",
        "Where modalities are missing",
        words.MISSING + trained,
        lambda theme: draw_missing(shown, theme),
        alt="Test accuracy by what is given. "
        + "; ".join(f"{name}: {interval(one)}" for name, one in shown.items())
        + ".",
        table=Table(
            ("given", "accuracy on test, in percent"),
            [
                (name, f"{100 * one.value:.1f} ({100 * one.low:.1f} – {100 * one.high:.1f})")
                for name, one in shown.items()
            ],
        ),
        measured=found,
    )


def contribution_section(run: Finished) -> Section:
    """Which modality carries which class."""
    labels, names = run.checkpoint.labels, tuple(run.checkpoint.modalities)
    found = class_contributions(run.scores["test"], names, run.temperatures.calibration)
    shown = sorted(sorted(found, key=lambda one: -_spread(one))[:CLASSES], key=lambda one: one.label)
    widest = max(found, key=_spread)
    text = words.CONTRIBUTIONS
    if len(shown) < len(found):
        text += f" Of {len(found)} classes these are the {CLASSES} whose modalities differ most; the numbers have all."
    text += f" {_carried(found, names, labels)}"
    rows = [
        (
            f"{one.label + 1}. {labels[one.label]}",
            str(one.samples),
            f"{one.baseline:.3f}",
            *(_signed(one.modalities[name]) for name in names),
            f"{one.probability.value:.3f}",
            _carrier(one),
        )
        for one in found
    ]
    own = ", ".join(f"{name} {widest.modalities[name].value:+.2f}" for name in names)
    return Section(
        "contributions",
        "Which modality carries which class",
        text,
        lambda theme: draw_contributions(shown, labels, theme),
        alt="Mean contribution to the true class by class and modality. They differ most for "
        f"{labels[widest.label]}: {own}.",
        table=Table(("class", "samples", "without any", *names, "probability", "carried by"), rows),
        measured=[{"class": labels[one.label], **vars(one)} for one in found],
    )


def _spread(one: ClassContribution) -> float:
    values = [each.value for each in one.modalities.values()]
    return max(values) - min(values)


def _carrier(one: ClassContribution) -> str:
    """The modality whose interval lies above all others'; else nothing is said."""
    first, *others = sorted(one.modalities, key=lambda name: -one.modalities[name].value)
    clear = all(one.modalities[first].low > one.modalities[other].high for other in others)
    return first if clear and one.samples >= words.FEWEST else "–"


def _carried(found: tuple[ClassContribution, ...], names: tuple[str, ...], labels: tuple[str, ...]) -> str:
    """In words, for each modality the classes that it carries."""
    told = []
    for name in names:
        own = [labels[one.label] for one in sorted(found, key=lambda one: -_spread(one)) if _carrier(one) == name]
        if own:
            more = f" and {len(own) - 5} more" if len(own) > 5 else ""
            told.append(f"{name} carries {', '.join(own[:5])}{more}")
    return f"Here {'; '.join(told)}." if told else "Here no class is clearly carried by one of them."


def deletion_section(run: Finished) -> Section:
    """Whether what contributes more is missed more."""
    test, names = run.scores["test"], tuple(run.checkpoint.modalities)
    calibration = run.temperatures.calibration
    title = "Contribution against deletion"
    if set(test.deletions) != set(names):
        return Section("deletion", title, "", missing="The run's scores hold no deletions.")
    values = contributions(test, names, calibration, test.logits.argmax(axis=1)).values
    by_name = {name: values[:, place] for place, name in enumerate(names)}
    found = deletion(test, names, calibration)
    rows = [("all", _rank(found.pooled)), *((name, _rank(one)) for name, one in found.modalities.items())]
    pooled = (
        "cannot be computed, since all are alike" if math.isnan(found.pooled.value) else f"is {_rank(found.pooled)}"
    )
    return Section(
        "deletion",
        title,
        f"{words.DELETION} Over all samples and modalities it {pooled}.",
        lambda theme: draw_deletion(by_name, test.deletions, theme),
        alt="Contribution against what is lost where a modality is another sample's. Rank correlation: "
        + "; ".join(f"{name} {value}" for name, value in rows)
        + ".",
        table=Table(("modality", "rank correlation"), rows),
        measured=found,
    )


def balance_section(run: Finished) -> Section:
    """Each modality's part of the gradient over training."""
    title, found = "Each modality's part of the gradient", epochs.gradient_shares(run.history)
    if not found:
        return Section("balance", title, "", missing="The run's history holds no gradient shares.")
    numbers = [epoch.epoch for epoch in run.history]
    last = ", ".join(f"{name} {values[-1]:.2f}" for name, values in found.items())
    return Section(
        "balance",
        title,
        words.BALANCE,
        lambda theme: draw_gradient_shares(numbers, found, run.kept, theme),
        alt=f"Share of the gradient over {len(numbers)} epochs. In the last one: {last}.",
        measured={"epochs": numbers, "shares": found},
    )


def _signed(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} – {found.high:+.3f})"


def _rank(found: Interval) -> str:
    return "none" if math.isnan(found.value) else f"{found.value:.2f} ({found.low:.2f} – {found.high:.2f})"
