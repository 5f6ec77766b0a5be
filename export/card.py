"""model_card.md: what a person should know of a bundle, from measured facts only."""

from collections.abc import Sequence

from export.calibrate import Measured
from export.cards.accuracy import accuracy, data, groups, words
from export.cards.confidence import abstention, calibration
from export.cards.limits import limits, reproduction
from export.cards.markdown import cell
from export.cards.modalities import contributions, missing
from training.checkpoint import Checkpoint
from training.measures.improvement import Improvement


def card(name: str, run: Checkpoint, measured: Measured, found: Sequence[Improvement], difference: float) -> str:
    """The text of the card.

    Args:
        name: of the bundle.
        run: the finished training.
        measured: what its scores tell.
        found: the calibration of its outputs on test.
        difference: largest difference of a probability between torch and the graph.
    """
    parts = (
        f"# {cell(name)}",
        f"A classifier of {' + '.join(run.modalities)} into {len(run.labels)} classes: "
        f"{', '.join(map(cell, run.labels))}.",
        _warning(run),
        data(run, difference, measured.quantized),
        words(run, measured),
        accuracy(run, measured),
        groups(run.metrics),
        calibration(measured, found, run.labels),
        missing(run, measured),
        contributions(run, measured, run.labels),
        abstention(measured),
        limits(run, measured, found),
        reproduction(run, measured),
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def _warning(run: Checkpoint) -> str:
    if run.config.dataset == "demo":
        return "Trained on generated data: it shows how the programs work and knows nothing of the world."
    return ""
