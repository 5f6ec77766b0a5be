"""The sections on inputs unlike the training data: distances with their threshold, and corruptions."""

from accelerate import Accelerator
from scipy.stats import spearmanr

from training.corrupting import MOST, Corrupted, chosen
from training.corruptions.corruption import SEVERITIES
from training.measures.missing import QUANTILE
from training.measures.outputs import independent_groups
from training.measures.robustness import Curve, Standard
from training.preparation import Prepared
from training.progress import track
from training.reporting import words
from training.reporting.chart_robustness import draw_corruptions, draw_shifts
from training.reporting.page import Section, Table
from training.reporting.run import Finished


def thresholds(run: Finished) -> tuple[dict[str, float], str]:
    """By modality, the distance beyond which features are unusual; and why some have none, or nothing."""
    return run.thresholds[0], "; ".join(dict.fromkeys(run.thresholds[1].values()))


def shift_section(run: Finished) -> Section:
    """How far the features of validation and test lie from the training data's."""
    validation, test = run.scores["val"].shifts, run.scores["test"].shifts
    found, why = thresholds(run)
    title = "Distance from the training data"
    if not test:
        return Section("shift", title, "", missing="The run's scores hold no distances.")
    shown = {name: (validation[name], test[name]) for name in test}
    beyond = {name: float((test[name] > threshold).mean()) for name, threshold in found.items()}
    rows = [
        (
            name,
            f"{float(validation[name].mean()):.3f}",
            f"{float(values.mean()):.3f}",
            f"{found[name]:.3f}" if name in found else "none",
            f"{100 * beyond[name]:.1f}" if name in found else "–",
        )
        for name, values in test.items()
    ]
    text = words.SHIFT.format(beyond=f"{1 - QUANTILE:.0%}") + (f" There is no threshold: {why}." if why else "")
    return Section(
        "shift",
        title,
        text,
        lambda theme: draw_shifts(shown, found, theme),
        alt="Distances of validation and test samples. Beyond the threshold: "
        + ("; ".join(f"{name} {100 * value:.1f} %" for name, value in beyond.items()) or "no threshold")
        + ".",
        table=Table(("modality", "mean, validation", "mean, test", "threshold", "% of test beyond"), rows),
        measured={"thresholds": found, "quantile": QUANTILE, "beyond": beyond},
    )


def corruption_section(run: Finished, prepared: Prepared, accelerator: Accelerator) -> Section:
    """What the classifier makes of test samples that were made worse."""
    scores, model = run.scores["test"], run.checkpoint.model().to(accelerator.device)
    places = chosen(len(scores.samples))
    groups = independent_groups(scores)
    corrupted = Corrupted(
        model,
        prepared,
        scores.samples[places],
        Standard(run.temperatures.calibration.fused, thresholds(run)[0]),
        None if groups is None else groups[places],
        run.checkpoint.config.seed,
        run.checkpoint.config.batch_size,
    )
    curves = list(track(corrupted, "Corrupting", len(corrupted)))
    text = words.CORRUPTIONS + f" {_together(curves)}"
    if len(places) < len(scores.samples):
        text += f" Measured on {MOST} of the {len(scores.samples)} test samples."
    return Section(
        "corruptions",
        "Samples made worse",
        text,
        lambda theme: draw_corruptions(curves, theme),
        alt=f"Accuracy and confidence at severities 0 to {SEVERITIES}. " + "; ".join(map(_said, curves)) + ".",
        table=_table(curves),
        measured=curves,
    )


def _said(curve: Curve) -> str:
    first, last = curve.standings[0], curve.standings[-1]
    return (
        f"{curve.title}: accuracy {first.accuracy.value:.2f} to {last.accuracy.value:.2f}, confidence "
        f"{first.confidence:.2f} to {last.confidence:.2f}"
    )


def _together(curves: list[Curve]) -> str:
    """Whether confidence falls as accuracy falls, in words."""
    points = [(one.accuracy.value, one.confidence) for curve in curves for one in curve.standings[1:]]
    accuracies, confidences = zip(*points, strict=True)
    told = ""
    if len(set(accuracies)) > 1 and len(set(confidences)) > 1:
        rank = float(spearmanr(accuracies, confidences).statistic)
        told = f"Over all corruptions and severities the rank correlation of accuracy and confidence is {rank:.2f}. "
    gaps = {curve.title: curve.standings[-1].confidence - curve.standings[-1].accuracy.value for curve in curves}
    widest = max(gaps, key=lambda title: gaps[title])
    if gaps[widest] <= 0:
        return f"{told}At the highest severity confidence is nowhere above accuracy."
    return (
        f"{told}At the highest severity confidence is furthest above accuracy for {widest}: by "
        f"{100 * gaps[widest]:.0f} points."
    )


def _table(curves: list[Curve]) -> Table:
    rows = [
        (
            curve.title,
            str(severity) if severity else "0, as it is",
            f"{curve.levels[severity - 1]:g} ({curve.meaning})" if severity else "–",
            f"{100 * one.accuracy.value:.1f} ({100 * one.accuracy.low:.1f} – {100 * one.accuracy.high:.1f})",
            f"{100 * one.confidence:.1f}",
            "–" if one.unusual is None else f"{100 * one.unusual:.1f}",
            f"{100 * one.disagreement:.1f}",
            f"{one.area:.3f}",
        )
        for curve in curves
        for severity, one in enumerate(curve.standings)
    ]
    head = ("corruption", "severity", "level", "accuracy in %", "confidence in %", "unusual in %", "disagreeing in %")
    return Table((*head, "AURC"), rows)
