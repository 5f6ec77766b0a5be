"""After the last epoch: what is measured of the training features, and every sample's scores with the kept weights."""

from collections.abc import Iterable
from dataclasses import replace

from accelerate import Accelerator

from training.batch import Batch
from training.deletion import deletions
from training.evaluate import Scores, collect, encode
from training.model import Classifier


def settle(model: Classifier, training: Iterable[Batch], accelerator: Accelerator, learned: bool) -> None:
    """Fit what depends on the training features of the kept weights: distances, and stand-ins that were not learned.

    Args:
        model: with the kept weights.
        training: the training split, without augmentation.
        accelerator: where to.
        learned: whether the stand-ins were trained, by modality dropout.
    """
    encoded = encode(model, training, accelerator)
    if not learned:
        model.stand_ins.neutral(encoded.features)
    for name, shift in model.shifts.items():
        shift.fit(encoded.features[name], encoded.labels)  # type: ignore[operator]


def examine(model: Classifier, split: Iterable[Batch], accelerator: Accelerator, seed: int) -> Scores:
    """Every sample's scores on one split, deletions included."""
    scores = collect(model, split, accelerator)
    return replace(scores, deletions=deletions(model, encode(model, split, accelerator), seed))
