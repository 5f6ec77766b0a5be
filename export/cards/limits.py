"""Known limits, each derived from a fact, and how to make the same again."""

from collections.abc import Iterator, Sequence

import numpy as np

from export.calibrate import Measured
from export.cards.markdown import section
from training.arguments import command
from training.checkpoint import Checkpoint
from training.measures.calibration import LEAST
from training.measures.improvement import Improvement
from training.measures.intervals import accuracy_interval
from training.measures.outputs import FEWEST_GROUPS, group_count, independent_groups


def limits(run: Checkpoint, measured: Measured, found: Sequence[Improvement]) -> str:
    """What the figures cannot show or show to be weak."""
    return section("Known limits", "\n".join(f"- {line}" for line in _limits(run, measured, found)))


def _limits(run: Checkpoint, measured: Measured, found: Sequence[Improvement]) -> Iterator[str]:
    test = measured.test
    groups = independent_groups(test)
    interval = accuracy_interval(test.logits.argmax(axis=1) == test.labels, groups)
    independent = "" if groups is None else f" in {len(np.unique(groups))} groups"
    yield (
        f"The test set has {len(test.labels)} samples{independent}: its accuracy is known to ± {interval.margin:.3f}, "
        "and differences smaller than that cannot be seen."
    )
    if group_count(test) < FEWEST_GROUPS:
        yield (
            f"The test samples are of no more than {group_count(test)} group(s): every interval takes samples for "
            "independent and is too narrow for what other groups would show."
        )
    counts = np.bincount(test.labels, minlength=len(run.labels))
    few = [f"{run.labels[label]} ({counts[label]})" for label in np.flatnonzero(counts < LEAST)]
    if few:
        yield f"Classes with fewer than {LEAST} test samples, of which little is known: {', '.join(few)}."
    if not run.config.modality_dropout:
        yield "Trained without modality dropout: of answers without a modality, only what stands for it was learned."
    if measured.refused:
        yield "Not every probability is calibrated, see above."
    outside = [one.output.title for one in found if not one.after.equal_mass.inside]
    if outside:
        yield f"Calibration error larger than chance explains: {', '.join(outside)}."
    if measured.unshifted:
        yield f"Inputs unlike the training data are not noticed in: {', '.join(measured.unshifted)}."
    yield (
        "All figures are of samples from where the training samples come from; of others nothing is known, nor of how "
        "the figures change from one training seed to the next."
    )


def reproduction(run: Checkpoint, measured: Measured) -> str:
    """The training's command, the data's fingerprint and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in run.provenance["versions"].items())
    return section(
        "How to reproduce",
        f"```\n{command(run.config, tuple(run.modalities))} --out RUN\n"
        f"python -m export RUN --to BUNDLE{'' if measured.quantized is None else f' {measured.quantized.option}'}\n```",
        f"The seed is {run.config.seed}; the data's fingerprint (SHA-256) is {run.provenance['data']['fingerprint']}. "
        f"Versions: {versions}. All of the configuration is in `provenance` in manifest.json.",
    )
