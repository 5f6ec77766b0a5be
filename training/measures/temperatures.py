"""A temperature for every output of a classifier, fitted on validation, or why there is none."""

from dataclasses import dataclass

from bundle.manifest import Calibration
from training.errors import TooFewSamples
from training.evaluate import Scores
from training.measures.outputs import Named, outputs
from training.measures.temperature import fit_temperature


@dataclass(frozen=True)
class Temperatures:
    """What was fitted."""

    calibration: Calibration
    """1 for every output that could not be fitted."""
    refused: dict[Named, str]
    """Those outputs, and why."""


def fit_temperatures(validation: Scores, modalities: tuple[str, ...]) -> Temperatures:
    """Fit every output's temperature on the samples that the model was not trained on.

    Args:
        validation: scores of the validation split.
        modalities: in the run's order.

    Raises:
        DataError: a logit is not finite.
    """
    found: dict[Named, float] = {}
    refused: dict[Named, str] = {}
    for output in outputs(modalities):
        try:
            found[output] = fit_temperature(output.logits(validation), validation.labels)
        except TooFewSamples as error:
            refused[output] = str(error)
    fused = next((value for output, value in found.items() if output.kind == "fused"), 1.0)
    shares, coalitions = (
        {output.name: value for output, value in found.items() if output.kind == kind}
        for kind in ("share", "coalition")
    )
    return Temperatures(Calibration(fused, shares, coalitions), refused)
