"""From a run's scores to what a manifest states of its numbers: temperatures, expectations, thresholds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bundle.answer import softmax
from bundle.manifest import Calibration, Expectation
from export.acceptance import Acceptance
from export.errors import ExportError, NotCalibrated
from export.half import Half
from training import scoring
from training.checkpoint import SCORES, Checkpoint
from training.errors import CheckpointError
from training.evaluate import Scores, evaluate
from training.measures.missing import QUANTILE, cautious, coalition_accuracies, shift_thresholds
from training.measures.outputs import Named, outputs
from training.measures.selective import Abstention, abstention, risk_coverage
from training.measures.temperatures import Temperatures, fit_temperatures


@dataclass(frozen=True)
class Wanted:
    """What an export is asked for."""

    calibrate: bool | None = None
    """Whether the outputs get temperatures; None where the samples allow it."""
    shift_quantile: float = QUANTILE
    """Share of validation samples that are not called unusual."""
    abstain_below: float | None = None
    """Least probability of the predicted class, 0..1."""
    abstain_risk: float | None = None
    """Largest share of the answers that may be wrong, 0..1."""
    quantize: Literal["int8"] | None = None
    """Whether the towers are computed in eight bits."""
    precision: Half | None = None
    """Whether the towers are computed in sixteen bits, and of which kind."""
    fused: bool = False
    """Whether attention, layer normalisation and GELU become single nodes of ONNX Runtime's own."""

    @property
    def option(self) -> str:
        """What asks for fewer than 32 bits; empty where nothing does."""
        if self.precision is not None:
            return f"--precision {self.precision}{' --fused' if self.fused else ''}"
        return "" if self.quantize is None else f"--quantize {self.quantize}"

    def __post_init__(self) -> None:
        if self.quantize is not None and self.precision is not None:
            raise ExportError("--quantize and --precision exclude one another; give one of them")
        if self.fused and self.precision is None:
            raise ExportError("--fused: expected --precision fp16 or bf16 beside it, found none")
        for what, value in (("abstain-below", self.abstain_below), ("abstain-risk", self.abstain_risk)):
            if value is not None and not 0 <= value <= 1:
                raise NotCalibrated(f"--{what}: expected a share from 0 to 1, got {value:g}")
        if not 0 < self.shift_quantile < 1:
            raise NotCalibrated(f"--shift-quantile: expected a share between 0 and 1, got {self.shift_quantile:g}")


@dataclass(frozen=True)
class Measured:
    """What validation taught and what test showed."""

    validation: Scores
    test: Scores
    """Both with the smaller logits of a service far from the training data."""
    calibration: Calibration
    refused: dict[Named, str]
    """Outputs without a temperature, and why."""
    expectations: dict[str, Expectation]
    shifts: dict[str, float]
    unshifted: dict[str, str]
    """Modalities without a threshold of distance, and why."""
    shift_quantile: float
    abstain_below: float | None = None
    abstention: Abstention | None = None
    """What the threshold gave on validation, where it was chosen there."""
    quantized: Acceptance | None = None
    """What fewer bits cost; None of a graph in 32."""


def measure(run: Checkpoint, wanted: Wanted) -> Measured:
    """Everything that the scores of a finished run tell.

    Raises:
        CheckpointError: the scores are absent, damaged, or of another run.
        NotCalibrated: temperatures were asked for and cannot be fitted, or no threshold reaches the risk asked for.
    """
    scores = scoring.load(run.folder / SCORES)
    _check(run, scores)
    return measure_scores(tuple(run.modalities), scores, wanted)


def measure_scores(modalities: tuple[str, ...], scores: Mapping[str, Scores], wanted: Wanted) -> Measured:
    """Everything that scores of validation (`val`) and test tell.

    Raises:
        NotCalibrated: temperatures were asked for and cannot be fitted, or no threshold reaches the risk asked for.
    """
    shifts, unshifted = shift_thresholds(scores["val"], modalities, wanted.shift_quantile)
    validation, test = (cautious(scores[split], modalities, shifts) for split in ("val", "test"))
    if wanted.calibrate is False:
        fitted = Temperatures(Calibration(), dict.fromkeys(outputs(modalities), "it was not asked for"))
    else:
        fitted = fit_temperatures(validation, modalities)
        if wanted.calibrate and fitted.refused:
            output, reason = next(iter(fitted.refused.items()))
            raise NotCalibrated(f"--calibrate: {output.title}: {reason}; --no-calibrate exports without temperatures")
    accuracies = coalition_accuracies(test, modalities)
    expectations = {
        name: Expectation(found.value, min(found.low, found.value), max(found.high, found.value), len(test.labels))
        for name, found in accuracies.items()
    }
    chosen = _abstention(validation, fitted.calibration, wanted.abstain_risk)
    stated = [wanted.abstain_below, None if chosen is None else chosen.abstain_below]
    return Measured(
        validation,
        test,
        fitted.calibration,
        fitted.refused,
        expectations,
        shifts,
        unshifted,
        wanted.shift_quantile,
        max((value for value in stated if value is not None), default=None),
        chosen,
    )


def _check(run: Checkpoint, scores: dict[str, Scores]) -> None:
    """Refuse scores that are not those of this run."""
    classes, modalities = len(run.labels), set(run.modalities)
    for split in ("val", "test"):
        found = scores.get(split)
        if found is None or not len(found.labels):
            raise CheckpointError(f"{run.folder / SCORES}: expected scores of the split {split}, found none")
        shape = (len(found.labels), 1 << len(modalities), classes)
        parts = [set(part) for part in (found.shares, found.shifts, found.deletions)]
        if found.coalitions.shape != shape or any(part != modalities for part in parts):
            raise CheckpointError(
                f"{run.folder / SCORES}: expected scores of {' + '.join(run.modalities)} and {classes} classes, found "
                f"{' + '.join(found.shares)} and coalitions of shape {found.coalitions.shape}"
            )
    accuracy, stated = evaluate(scores["test"]).accuracy, run.metrics["test"]["accuracy"]
    if not math.isclose(accuracy, stated):
        raise CheckpointError(
            f"{run.folder / SCORES}: expected scores with the run's test accuracy, {stated:.4f}, found {accuracy:.4f}"
        )


def _abstention(validation: Scores, calibration: Calibration, risk: float | None) -> Abstention | None:
    """The threshold that answers most with at most this share of wrong answers on validation."""
    if risk is None:
        return None
    confidences = softmax(validation.logits, calibration.fused).max(axis=1)
    right = validation.logits.argmax(axis=1) == validation.labels
    found = abstention(confidences, right, risk)
    if found is None:
        curve = risk_coverage(confidences, right)
        best = int(curve.risk.argmin())
        raise NotCalibrated(
            f"--abstain-risk {risk:g}: no threshold reaches it on {len(right)} validation samples; the least is "
            f"{curve.risk[best]:.3f}, where {curve.coverage[best]:.1%} are answered, and {curve.risk[-1]:.3f} where "
            "all are"
        )
    return found
