"""The sections that need a run's folder alone: confidences, confusions, accuracies, information, gradient norms."""

import math
from functools import partial

import numpy as np

from training import catalog
from training.reporting import epochs, words
from training.reporting.chart_classes import CLASSES, draw_confidence, draw_confusion, draw_mistakes
from training.reporting.chart_epochs import draw_accuracies, draw_gradient_norms, draw_information
from training.reporting.confidence import confidence, confusion, mistakes
from training.reporting.page import Section, Table
from training.reporting.run import Finished

MISTAKES = 20
"""Confusions listed where classes are too many for a matrix."""


def confidence_section(run: Finished) -> Section:
    """Fig. 1b: how sure each modality is of the true class, by class."""
    labels = run.checkpoint.labels
    found = confidence(run.scores["test"])
    text = words.CONFIDENCE
    if not catalog.load("fusion", run.checkpoint.config.fusion).ADDITIVE:
        text += f" With the fusion {run.checkpoint.config.fusion} a share depends on the other modalities too."
    present = int((found.counts > 0).sum())
    if present > CLASSES:
        text += f" Of {present} classes these are the {CLASSES} whose modalities differ most; the numbers have all."
    if present < len(labels):
        text += f" {len(labels) - present} classes have no test sample."
    rows = [
        (
            f"{number + 1}. {label}",
            str(found.counts[number]),
            *(_number(means[number]) for means in found.means.values()),
        )
        for number, label in enumerate(labels)
    ]
    widest = found.most_different(1)[0]
    own = ", ".join(f"{name} {means[widest]:.2f}" for name, means in found.means.items())
    return Section(
        "confidence",
        "Confidence by class and modality",
        text,
        lambda theme: draw_confidence(found, labels, theme),
        alt="Mean probability of the true class by class and modality. The modalities differ most for "
        f"{labels[widest]}: {own}.",
        table=Table(("class", "samples", *found.means), rows),
        measured=found,
    )


def confusion_section(run: Finished) -> Section:
    """Which classes are taken for which."""
    labels, scores = run.checkpoint.labels, run.scores["test"]
    matrix = confusion(scores)
    wrong = mistakes(matrix, MISTAKES)
    right = int(np.trace(matrix))
    title, table = (
        "Confusion of classes",
        Table(
            ("true → predicted", "samples", "of"),
            [(f"{labels[one.true]} → {labels[one.taken_for]}", str(one.samples), str(one.of)) for one in wrong],
        ),
    )
    alt = f"{right} of {len(scores.labels)} test samples are predicted rightly."
    if wrong:
        first = wrong[0]
        alt += (
            f" Most often {labels[first.true]} is taken for {labels[first.taken_for]}: {first.samples} of {first.of}."
        )
    if len(labels) <= CLASSES:
        draw, text = partial(draw_confusion, matrix, labels), words.CONFUSION
    elif not wrong:
        return Section("confusion", title, "", missing=alt)
    else:
        draw, text = partial(draw_mistakes, wrong, labels), words.MISTAKES
    return Section("confusion", title, text, draw, alt, table=table, measured={"labels": labels, "counts": matrix})


def accuracy_section(run: Finished) -> Section:
    """Each modality's own accuracy over training, beside the fused one."""
    found, numbers = epochs.accuracies(run.history), [epoch.epoch for epoch in run.history]
    labels = run.scores["val"].labels
    guess = float(np.bincount(labels).max() / len(labels))
    last = ", ".join(f"{name} {values[-1]:.2f}" for name, values in found.items())
    return Section(
        "accuracy",
        "Accuracy of each modality over training",
        words.ACCURACY,
        lambda theme: draw_accuracies(numbers, found, guess, run.kept, theme),
        alt=f"Validation accuracy over {len(numbers)} epochs. In the last one: {last}; commonest class {guess:.2f}.",
        measured={"epochs": numbers, "accuracies": found, "guess": guess},
    )


def information_section(run: Finished) -> Section:
    """The estimate of the information between the modalities, and the bound on it."""
    title = "Estimated information between the modalities"
    found, numbers = epochs.information(run.history), [epoch.epoch for epoch in run.history]
    if not found:
        method = run.checkpoint.config.method
        return Section("information", title, "", missing=f"The method {method} estimates no information.")
    text = words.INFORMATION
    if "information" in found:
        text += words.ESTIMATE
    if "information_bound" in found:
        text += words.BOUND
    last = ", ".join(f"{name.replace('_', ' ')} {values[-1]:.2f}" for name, values in found.items())
    return Section(
        "information",
        title,
        text,
        lambda theme: draw_information(numbers, found, run.kept, theme),
        alt=f"Estimated information over {len(numbers)} epochs. In the last one: {last} nats.",
        measured={"epochs": numbers, **found},
    )


def gradient_section(run: Finished) -> Section:
    """How strongly each term of the loss pulls on each modality's encoder (Eq. 13)."""
    title = "Gradients of the loss's terms by modality"
    found, numbers = epochs.gradient_norms(run.history), [epoch.epoch for epoch in run.history]
    if not found:
        return Section("gradients", title, "", missing="The run's history holds no gradient norms.")
    present = {
        term: {name: values[-1] for name, values in norms.items() if not math.isnan(values[-1])}
        for term, norms in found.items()
    }
    last = "; ".join(
        f"{term}: {', '.join(f'{name} {value:.2g}' for name, value in norms.items())}"
        for term, norms in present.items()
        if norms
    )
    alt = f"Gradient norms over {len(numbers)} epochs. "
    return Section(
        "gradients",
        title,
        words.GRADIENTS,
        lambda theme: draw_gradient_norms(numbers, found, run.kept, theme),
        alt=alt + (f"In the last one, {last}." if last else "In the last one there are none."),
        measured={"epochs": numbers, "norms": found},
    )


def sections(run: Finished) -> dict[str, Section]:
    """By name, in the order of this module."""
    made = (confidence_section, confusion_section, accuracy_section, information_section, gradient_section)
    return {section.name: section for section in (make(run) for make in made)}


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
