"""What temperatures improve: every output's calibration on test, as it is and with its temperature."""

from dataclasses import dataclass

from bundle.coalitions import JOIN
from bundle.manifest import Calibration
from training.evaluate import Scores
from training.measures.calibration import CalibrationFigures, calibration_figures
from training.measures.outputs import Named, independent_groups, outputs


@dataclass(frozen=True)
class Improvement:
    """One output, before and after."""

    output: Named
    before: CalibrationFigures
    after: CalibrationFigures
    """The same as before where there is no temperature."""


def improvements(test: Scores, modalities: tuple[str, ...], calibration: Calibration) -> tuple[Improvement, ...]:
    """All modalities together, each alone by its share, and all but each.

    Args:
        test: scores of samples that the temperatures were not fitted on.
        modalities: in the run's order.
        calibration: the temperatures.

    Raises:
        DataError: there is no sample, or a logit is not finite.
    """
    groups = independent_groups(test)
    found = []
    for output in outputs(modalities):
        if output.kind == "coalition" and output.name.count(JOIN) + bool(output.name) != len(modalities) - 1:
            continue
        logits, temperature = output.logits(test), output.temperature(calibration)
        before = calibration_figures(logits, test.labels, groups=groups)
        after = before if temperature == 1.0 else calibration_figures(logits, test.labels, temperature, groups)
        found.append(Improvement(output, before, after))
    return tuple(found)
