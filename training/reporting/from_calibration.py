"""The sections on how far confidences can be believed: calibration, by class, and risk against coverage."""

from bundle.answer import softmax
from training.judging import dependence
from training.measures.calibration import BINS, LEAST, CalibrationFigures, ClassCalibration
from training.measures.improvement import Improvement, improvements
from training.measures.intervals import Interval
from training.measures.outputs import independent_groups
from training.measures.selective import area_interval, risk_coverage
from training.measures.temperatures import Temperatures
from training.reporting import words
from training.reporting.chart_calibration import draw_class_calibration, draw_coverage, draw_reliability
from training.reporting.chart_classes import CLASSES
from training.reporting.confidence import FUSED
from training.reporting.page import Section, Table
from training.reporting.run import Finished


def sections(run: Finished) -> dict[str, Section]:
    """By name."""
    test, names = run.scores["test"], tuple(run.checkpoint.modalities)
    fitted = run.temperatures
    found = improvements(test, names, fitted.calibration)
    made = (calibration_section(run, fitted, found), class_section(run, found[0]), coverage_section(run, fitted))
    return {section.name: section for section in made}


def calibration_section(run: Finished, fitted: Temperatures, found: tuple[Improvement, ...]) -> Section:
    """Reliability diagrams of the fused classifier and each modality, and every output's numbers."""
    diagrams = {
        FUSED if one.output.kind == "fused" else one.output.name: (one.before, one.after)
        for one in found
        if one.output.kind != "coalition"
    }
    rows = [row for one in found for row in _rows(one, one.output in fitted.refused)]
    head = ("output", "T", "samples", "ECE", "calibrated models", "debiased ECE", "ECE, equal width", "Brier", "NLL")
    fused = found[0].after.equal_mass
    count = found[0].after.samples
    text = words.CALIBRATION.format(bins=BINS, fitted=len(run.scores["val"].labels))
    text += words.BAND.format(samples=count, low=fused.band.low, high=fused.band.high, measured=fused.plug_in)
    outside = [one.output.title for one in found if not one.after.equal_mass.inside]
    text += f" Outside it: {', '.join(outside)}." if outside else " No output is outside it."
    for reason in dict.fromkeys(fitted.refused.values()):
        refused = [output.title for output, why in fitted.refused.items() if why == reason]
        text += f" Without a temperature: {', '.join(refused)} ({reason})."
    few = dependence(run.scores["test"])
    said = "; ".join(
        f"{name} {one.equal_mass.plug_in:.3f}, {two.equal_mass.plug_in:.3f}" for name, (one, two) in diagrams.items()
    )
    return Section(
        "calibration",
        "Can the confidences be believed?",
        f"{text} {few}".strip(),
        lambda theme: draw_reliability(diagrams, theme),
        alt=f"Reliability diagrams. Expected calibration error before and with the temperature: {said}.",
        table=Table(head, rows),
        measured={
            "validation_samples": len(run.scores["val"].labels),
            "outputs": [{"output": one.output.title, "before": one.before, "after": one.after} for one in found],
            "refused": {output.title: why for output, why in fitted.refused.items()},
        },
    )


def _rows(one: Improvement, refused: bool) -> list[tuple[str, ...]]:
    before = (one.output.title, "none" if refused else "before", *_figures(one.before))
    after = (one.output.title, f"{one.after.temperature:.3f}", *_figures(one.after))
    return [before] if refused else [before, after]


def _figures(found: CalibrationFigures) -> tuple[str, ...]:
    error = found.equal_mass
    band = f"{error.band.low:.3f} – {error.band.high:.3f}{'' if error.inside else ', outside'}"
    shown = (interval(error.debiased), f"{found.equal_width.plug_in:.3f}", interval(found.brier), interval(found.nll))
    return (str(found.samples), f"{error.plug_in:.3f}", band, *shown)


def interval(found: Interval) -> str:
    """0.912 (0.880 – 0.936)."""
    return f"{found.value:.3f} ({found.low:.3f} – {found.high:.3f})"


def class_section(run: Finished, fused: Improvement) -> Section:
    """The fused classifier's probability of each class that has enough samples."""
    name, title = "calibration-by-class", "Calibration by class"
    before, after, labels = fused.before.classes, fused.after.classes, run.checkpoint.labels
    if not after:
        missing = f"No class has the {LEAST} test samples, and as many of others, that its own calibration needs."
        return Section(name, title, "", missing=missing)
    worst = sorted(zip(after, before, strict=True), key=lambda pair: pair[0].chance)[:CLASSES]
    shown = sorted(worst, key=lambda pair: pair[0].label)
    left = len(labels) - len(after)
    text = words.CLASSES.format(least=LEAST) + (f" {left} classes have fewer and are left out." if left else "")
    rows = [
        (
            f"{one.label + 1}. {labels[one.label]}",
            str(one.samples),
            f"{one.share:.3f}",
            f"{one.probability:.3f}",
            f"{earlier.plug_in:.3f}",
            f"{one.plug_in:.3f}",
            f"{one.band.low:.3f} – {one.band.high:.3f}",
            f"{one.debiased:.3f}",
            f"{one.brier:.3f}",
        )
        for one, earlier in zip(after, before, strict=True)
    ]
    return Section(
        name,
        title,
        text,
        lambda theme: draw_class_calibration([two for _, two in shown], [one for one, _ in shown], labels, theme),
        alt="Calibration error by class with the temperature. "
        + "; ".join(f"{labels[one.label]}: {one.plug_in:.3f}" for one, _ in shown)
        + ".",
        table=Table(
            (
                "class",
                "samples",
                "share",
                "mean probability",
                "ECE before",
                "ECE",
                "calibrated models",
                "debiased",
                "Brier",
            ),
            rows,
        ),
        measured={"before": _by_class(before, labels), "after": _by_class(after, labels)},
    )


def _by_class(found: tuple[ClassCalibration, ...], labels: tuple[str, ...]) -> list[tuple[str, ClassCalibration]]:
    return [(labels[one.label], one) for one in found]


def coverage_section(run: Finished, fitted: Temperatures) -> Section:
    """What is gained by not answering where confidence is low."""
    test, groups = run.scores["test"], independent_groups(run.scores["test"])
    outputs = {FUSED: (test.logits, fitted.calibration.fused)}
    outputs |= {name: (share, fitted.calibration.shares.get(name, 1.0)) for name, share in test.shares.items()}
    curves, areas = {}, {}
    for name, (logits, temperature) in outputs.items():
        confidences, right = softmax(logits, temperature).max(axis=1), logits.argmax(axis=1) == test.labels
        curves[name] = risk_coverage(confidences, right)
        areas[name] = area_interval(confidences, right, groups)
    coverages = (1.0, 0.9, 0.8, 0.5)
    rows = [
        (
            name,
            interval(areas[name]),
            f"{curve.excess:.3f}",
            *(f"{100 * curve.accuracy_at(one):.1f}" for one in coverages),
        )
        for name, curve in curves.items()
    ]
    return Section(
        "coverage",
        "Answering only where confident",
        words.COVERAGE,
        lambda theme: draw_coverage(curves, theme),
        alt="Risk against coverage. Area under the curve: " + "; ".join(f"{row[0]} {row[1]}" for row in rows) + ".",
        table=Table(("output", "AURC", "excess", *(f"% right of {one:.0%}" for one in coverages)), rows),
        measured={name: {"area": areas[name], "curve": curve} for name, curve in curves.items()},
    )
