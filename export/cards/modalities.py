"""What each modality is worth: accuracy without it, what it contributes, and what is unlike the training data."""

import math
from collections.abc import Sequence

from bundle.coalitions import JOIN
from export.calibrate import Measured
from export.cards.markdown import figure, section, table
from training.checkpoint import Checkpoint
from training.measures.contributions import class_contributions, deletion
from training.measures.intervals import Interval


def missing(run: Checkpoint, measured: Measured) -> str:
    """The accuracy to expect with some modalities only."""
    rows = []
    for name, found in sorted(measured.expectations.items(), key=lambda entry: -entry[0].count(JOIN) - bool(entry[0])):
        used = name.split(JOIN) if name else []
        absent = [modality for modality in run.modalities if modality not in used]
        accuracy = figure(Interval(found.accuracy, found.low, found.high))
        rows.append((" + ".join(used) or "nothing", " + ".join(absent) or "-", accuracy))
    dropout = run.config.modality_dropout
    trained = (
        f"Trained with each modality of a sample left out with probability {dropout:g}."
        if dropout
        else "Trained with all modalities always there; what stands for a missing one was learned afterwards, on the "
        "training split."
    )
    return section(
        "Missing modalities",
        table(("given", "missing", "accuracy on test"), rows),
        trained,
        _shifts(measured),
    )


def _shifts(measured: Measured) -> str:
    if not measured.shifts:
        reasons = dict.fromkeys(measured.unshifted.values())
        return f"No input is flagged as unlike the training data: {'; '.join(reasons)}."
    share = f"{1 - measured.shift_quantile:.3g}"
    shares = ", ".join(
        f"{name} {(measured.test.shifts[name] > threshold).mean():.3f}" for name, threshold in measured.shifts.items()
    )
    return (
        "An input whose features are further from those of the training data than a threshold is flagged as unusual. "
        f"The thresholds are chosen on validation so that a share of {share} of inputs like those is flagged; on test "
        f"it was {shares}."
    )


def contributions(run: Checkpoint, measured: Measured, labels: Sequence[str]) -> str:
    """Which modality carries which class."""
    modalities = tuple(run.modalities)
    rows = [
        (
            labels[one.label],
            str(one.samples),
            figure(one.probability),
            f"{one.baseline:.3f}",
            *(figure(one.modalities[name], signed=True) for name in modalities),
        )
        for one in class_contributions(measured.test, modalities, measured.calibration)
    ]
    found = deletion(measured.test, modalities, measured.calibration)
    each = ", ".join(f"{name} {_correlation(found.modalities[name])}" for name in modalities)
    return section(
        "Contributions",
        "Over the test samples of each class: its mean probability, the same without any modality, and how much each "
        "modality adds to it (its Shapley value, averaged; they sum to the difference).",
        table(("class", "samples", "probability", "baseline", *modalities), rows),
        "Does more contribution mean more is lost without it? Rank correlation (Spearman) of the contributions to the "
        "predicted class with what its probability loses where a modality is replaced by other samples': "
        f"{_correlation(found.pooled)} over all; {each}.",
    )


def _correlation(found: Interval) -> str:
    return "not defined (all are the same)" if math.isnan(found.value) else figure(found, signed=True)
