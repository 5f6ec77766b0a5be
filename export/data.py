"""The data of a finished training, read again: what ranges of activations are learned from, and what graphs answer."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bundle.answer import PRESENT
from export.errors import ExportError
from export.feeds import Feed
from training import scoring
from training.checkpoint import SCORES, Checkpoint
from training.errors import DataError
from training.evaluate import Scores
from training.loading import Samples
from training.reporting.features import restore

CALIBRATED, BATCH = 128, 16
"""Training samples that show the ranges of activations, and how many go through a graph at once."""


class Data:
    """What a run was trained on and measured by.

    Args:
        run: the finished training.
        asked: the option that needs the data.

    Raises:
        ExportError: it is not there any more as it was.
    """

    def __init__(self, run: Checkpoint, asked: str) -> None:
        self._run = run
        found = scoring.load(run.folder / SCORES)
        self.trained: dict[str, Scores] = {split: found[split] for split in ("val", "test")}
        """What the trained model itself said of the validation and test samples."""
        try:
            self._prepared = restore(run)
        except DataError as error:
            raise ExportError(
                f"{asked} needs the data of the training, which was not found as it was: {error}"
            ) from None

    def calibration(self) -> list[Feed]:
        """Batches of some training samples, the same ones each time."""
        indices = self._prepared.pairs.indices("train")
        return list(self._batches(np.random.default_rng(self._run.config.seed).permutation(indices)[:CALIBRATED]))

    @cached_property
    def held_out(self) -> dict[str, list[Feed]]:
        """Batches of all validation (`val`) and test samples, in the order of `trained`."""
        return {split: list(self._batches(found.samples)) for split, found in self.trained.items()}

    def _batches(self, indices: NDArray[np.int64]) -> Iterator[Feed]:
        """Samples as the graph takes them, with every modality; in order, `BATCH` at a time."""
        samples = Samples(self._prepared, indices, None, self._run.config.seed)
        for start in range(0, len(indices), BATCH):
            batch = samples.collate([samples[0, number] for number in range(start, min(start + BATCH, len(indices)))])
            feed: Feed = {name: tensor.numpy() for name, tensor in batch.inputs.items()}
            yield {**feed, PRESENT: np.ones((len(batch.labels), len(feed)), np.bool_)}
