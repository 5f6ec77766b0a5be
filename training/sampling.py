"""Which training samples an epoch draws, from seed and epoch alone: nothing to save, the same after a resumption."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


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
