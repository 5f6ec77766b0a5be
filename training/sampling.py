"""Which training samples an epoch draws, from seed and epoch alone: nothing to save, the same after a resumption.

And who has which of them: a batch is divided into parts, and each part among processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


@dataclass(frozen=True)
class Division:
    """How the samples of a batch, 0 to its size - 1, are divided; the batch itself never depends on it."""

    process: int = 0
    """This one, from 0."""
    processes: int = 1
    parts: int = 1
    """Into how many parts, computed one after the other, where each gets samples enough."""

    @property
    def least(self) -> int:
        """The smallest part: a sample for each process, and two for batch statistics."""
        return max(2, self.processes)

    def divide(self, size: int) -> list[range]:
        """The parts of a batch, whose sizes differ by one at most."""
        return _even(range(size), max(1, min(self.parts, size // self.least)))

    def own(self, part: range) -> range:
        """What this process has of a part."""
        return self.each(part)[self.process]

    def each(self, part: range) -> list[range]:
        """What every process has of a part."""
        return _even(part, self.processes)


def _even(whole: range, count: int) -> list[range]:
    bounds = [whole.start + len(whole) * number // count for number in range(count + 1)]
    return [range(*pair) for pair in pairwise(bounds)]


class Order(Sampler[int]):
    """A fresh order for each epoch: of all samples once, or of as many with every class equally often.

    Balanced, each class is a shuffled cycle, of which every epoch takes its share where the last one stopped. A class
    smaller than its share goes round within the epoch, so that its samples come equally often, give or take one; of a
    larger one no sample comes twice in an epoch, and all come before the first does again. The samples that do not
    divide by the classes go to other classes each epoch.

    Args:
        targets: `(samples,)` class indices of the training split.
        seed: of the training.
        balanced: whether classes are drawn equally often.

    A number is a position plus `samples` times how often the epoch had that position before: a repeated sample can then
    be changed anew.
    """

    def __init__(self, targets: NDArray[np.int64], seed: int, balanced: bool = False) -> None:
        self.targets = targets
        self.seed = seed
        self.balanced = balanced
        self.epoch = 0
        self.start = 0
        """How many samples of the epoch are left out at its beginning: those that a resumed training had."""

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[int]:
        shuffled = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.targets))
        numbers = self._drawn()[shuffled] if self.balanced else shuffled
        return map(int, numbers[self.start :])  # one by one: a list of them would be a Python object for each sample

    def _drawn(self) -> NDArray[np.int64]:
        """`(samples,)` numbers, class by class."""
        classes = np.unique(self.targets)
        share, left = divmod(len(self.targets), len(classes))
        found = []
        for number, label in enumerate(classes.tolist()):
            starts = [
                epoch * share + (epoch * left + len(classes) - 1 - number) // len(classes)
                for epoch in (self.epoch, self.epoch + 1)
            ]
            members = np.flatnonzero(self.targets == label)
            cycle = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(label,))).permutation(members)
            turns = np.arange(starts[1] - starts[0])
            found.append(cycle[(starts[0] + turns) % len(cycle)] + len(self.targets) * (turns // len(cycle)))
        return np.concatenate(found)
