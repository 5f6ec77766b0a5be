"""How far the confidences can be believed, and what is gained by not answering where they are low."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle.answer import softmax
from export.calibrate import Measured
from export.cards.markdown import figure, section, table
from training.evaluate import Scores
from training.measures.calibration import BINS, LEAST, CalibrationFigures
from training.measures.improvement import Improvement
from training.measures.outputs import independent_groups
from training.measures.selective import area_interval, risk_coverage
from training.measures.temperature import LEAST as LEAST_FOR_TEMPERATURE

COVERAGES = (1.0, 0.9, 0.8, 0.5)


def calibration(measured: Measured, found: Sequence[Improvement], labels: Sequence[str]) -> str:
    """Each output's temperature, and its calibration on test before and after."""
    rows = [row for one in found for row in _rows(one, one.output in measured.refused)]
    head = ("output", "temperature", "ECE", "calibrated model", "debiased ECE", "Brier", "NLL")
    return section(
        "Calibration",
        _refused(measured),
        f"On test. ECE: the expected calibration error of the predicted class's probability, with {BINS} bins of "
        "equal mass. It is never 0 on a finite test set: beside it stands what 95 % of perfectly calibrated models "
        "with these confidences would show. Debiased, the part that is noise is taken out.",
        table(head, rows),
        _by_class(found[0].after, labels),
    )


def _refused(measured: Measured) -> str:
    """Which outputs have no temperature, and why."""
    if not measured.refused:
        return f"Temperatures are fitted on {len(measured.validation.labels)} validation samples."
    samples = len(measured.validation.labels)
    if samples < LEAST_FOR_TEMPERATURE and "asked" not in next(iter(measured.refused.values())):
        return f"Not calibrated: {samples} validation samples, at least {LEAST_FOR_TEMPERATURE} are needed."
    reasons: dict[str, list[str]] = {}
    for output, reason in measured.refused.items():
        reasons.setdefault(reason, []).append(output.title)
    return " ".join(f"Not calibrated: {'; '.join(titles)} ({reason})." for reason, titles in reasons.items())


def _rows(one: Improvement, refused: bool) -> list[tuple[str, ...]]:
    before = _row(one.output.title, one.before)
    return [before] if refused else [before, _row(one.output.title, one.after)]


def _row(title: str, found: CalibrationFigures) -> tuple[str, ...]:
    error = found.equal_mass
    band = f"{error.band.low:.3f} to {error.band.high:.3f}" + ("" if error.inside else " (outside)")
    figures = (f"{error.plug_in:.3f}", band, *map(figure, (error.debiased, found.brier, found.nll)))
    return (title, f"{found.temperature:.3f}", *figures)


def _by_class(found: CalibrationFigures, labels: Sequence[str]) -> str:
    if not found.classes:
        return (
            f"By class: no class has the {LEAST} test samples, and as many of others, that its own calibration needs."
        )
    rows = [
        (
            labels[one.label],
            str(one.samples),
            f"{one.probability:.3f}",
            f"{one.share:.3f}",
            f"{one.plug_in:.3f}",
            f"{one.band.low:.3f} to {one.band.high:.3f}" + ("" if one.inside else " (outside)"),
            f"{one.debiased:.3f}",
        )
        for one in found.classes
    ]
    head = ("class", "samples", "mean probability", "share of samples", "ECE", "calibrated model", "debiased ECE")
    return "\n\n".join(("By class, all modalities, with the temperature:", table(head, rows)))


def abstention(measured: Measured) -> str:
    """Accuracy among the most confident answers on test, and the threshold of abstention."""
    test = measured.test
    confidences, right = confidences_of(test, measured.calibration.fused)
    curve = risk_coverage(confidences, right)
    area = area_interval(confidences, right, independent_groups(test))
    rows = [(f"{coverage:.0%}", f"{curve.accuracy_at(coverage):.3f}") for coverage in COVERAGES]
    return section(
        "Answering only where confident",
        table(("most confident", "accuracy on test"), rows),
        f"Area under the risk-coverage curve (AURC): {figure(area)}; {curve.excess:.3f} of it would be gone if every "
        "right answer were more confident than every wrong one.",
        _threshold(measured),
    )


def confidences_of(scores: Scores, temperature: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """`(samples,)` probabilities of the predicted classes, and whether these are right."""
    return softmax(scores.logits, temperature).max(axis=1), scores.logits.argmax(axis=1) == scores.labels


def _threshold(measured: Measured) -> str:
    if measured.abstain_below is None:
        return "No threshold of abstention is set; a request may bring its own (`abstain_below`)."
    chosen = ""
    if measured.abstention is not None:
        found = measured.abstention
        chosen = (
            f" Where the threshold {found.abstain_below:.3f} was chosen, on validation, {found.coverage:.1%} are "
            f"answered and {found.risk:.3f} of those wrong (at most {found.risk_at_most:.3f}, one-sided 95 %)."
        )
    confidences, right = confidences_of(measured.test, measured.calibration.fused)
    answered = confidences >= measured.abstain_below
    wrong = f"{1 - right[answered].mean():.3f} of those wrong" if answered.any() else "none of them"
    return (
        f"Answers abstain below a probability of {measured.abstain_below:.3f}: on test, {answered.mean():.1%} are "
        f"answered, {wrong}.{chosen}"
    )
