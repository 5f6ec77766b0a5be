"""The data of a finished training, read again: what ranges of activations are learned from, and what graphs answer."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import overload

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

    def calibration(self) -> Sequence[Feed]:
        """Batches of some training samples, the same ones each time."""
        indices = self._prepared.pairs.indices("train")
        return self._batches(np.random.default_rng(self._run.config.seed).permutation(indices)[:CALIBRATED])

    @property
    def held_out(self) -> dict[str, Sequence[Feed]]:
        """Batches of all validation (`val`) and test samples, in the order of `trained`."""
        return {split: self._batches(found.samples) for split, found in self.trained.items()}

    @property
    def joined(self) -> Iterable[Feed]:
        """Batches of all validation samples, then of all test samples; to be gone through once."""
        return chain.from_iterable(self.held_out.values())

    def _batches(self, indices: NDArray[np.int64]) -> Sequence[Feed]:
        return _Batches(Samples(self._prepared, indices, None, self._run.config.seed), BATCH)


class _Batches(Sequence[Feed]):
    """Samples as the graph takes them, with every modality, in order.

    A batch is made whenever it is asked for and kept by nobody here, so that memory does not grow with the samples.
    """

    def __init__(self, samples: Samples, size: int) -> None:
        self._samples, self._starts = samples, range(0, len(samples), size)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, number: int) -> Feed: ...
    @overload
    def __getitem__(self, number: slice) -> list[Feed]: ...
    def __getitem__(self, number: int | slice) -> Feed | list[Feed]:
        if isinstance(number, slice):
            return [self[one] for one in range(len(self))[number]]
        start = self._starts[number]
        members = range(start, min(start + self._starts.step, len(self._samples)))
        batch = self._samples.collate([self._samples[0, member] for member in members])
        feed: Feed = {name: tensor.numpy() for name, tensor in batch.inputs.items()}
        return {**feed, PRESENT: np.ones((len(batch.labels), len(feed)), np.bool_)}
