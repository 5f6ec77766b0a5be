"""Batches from decoded samples: augmented for training, plain for evaluation, reproducible in both."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from bundle.modalities import MODALITIES, Array
from training import distributed
from training.absence import STREAM, left_in
from training.augment import augment
from training.batch import Batch
from training.config import AugmentOptions, Config
from training.preparation import Prepared
from training.sampling import Division, Order

STREAMS = {name: number for number, name in enumerate(MODALITIES)}


class Samples(Dataset[dict[str, Array]]):
    """One split's samples, normalised; with `augmentation`, changed anew each epoch.

    The change depends on seed, epoch, sample and modality alone, not on batch order, the number of workers or the other
    modalities; and, of a sample that an epoch has again (see `Order`), on how often it had it before. Which modalities
    are left out (`dropout`) depends on the same. Of a batch that is divided among processes (`division`) the others'
    samples are described but not read.
    """

    def __init__(
        self, prepared: Prepared, indices: NDArray[np.int64], augmentation: AugmentOptions | None, seed: int
    ) -> None:
        self.dropout = 0.0
        self.division = Division()
        self.prepared = prepared
        self.indices = indices
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Array]]:
        """A batch: what is known of every sample, and the arrays of those that this process encodes."""
        own = {place for part in self.division.divide(len(numbers)) for place in self.division.own(part)}
        return [self[number] if place in own else self._known(number) for place, number in enumerate(numbers)]

    def __getitem__(self, number: int) -> dict[str, Array]:
        sample = self._known(number)
        before, position = divmod(number, len(self.indices))
        index = int(self.indices[position])
        again = (before,) if before else ()
        for name, modality in self.prepared.modalities.items():
            array = np.asarray(self.prepared.arrays[name][index])
            if self.augmentation is not None:
                generator = np.random.default_rng((self.seed, self.epoch, index, STREAMS[name], *again))
                array = augment(name, array, self.augmentation, generator)
            sample[name] = modality.normalise(array)
        return sample

    def _known(self, number: int) -> dict[str, Array]:
        """Label, number, group and what is left in."""
        before, position = divmod(number, len(self.indices))
        index = int(self.indices[position])
        pairs = self.prepared.pairs
        present = np.ones(len(self.prepared.modalities), np.bool_)
        if self.dropout:
            again = (before,) if before else ()
            generator = np.random.default_rng((self.seed, self.epoch, index, STREAM, *again))
            present = left_in(len(present), self.dropout, generator)
        return {"": np.array([pairs.targets[index], index, pairs.groups[index], *present])}

    def collate(self, samples: Sequence[dict[str, Array]]) -> Batch:
        """Join samples into a batch, whose inputs are those that were read."""
        inputs = {
            name: torch.from_numpy(modality.stack([sample[name] for sample in samples if name in sample]))
            for name, modality in self.prepared.modalities.items()
        }
        labels, numbers, groups, *present = torch.from_numpy(
            np.stack([sample[""] for sample in samples])
        ).T.contiguous()
        return Batch(inputs, labels, numbers, groups, torch.stack(present, dim=1).bool() if self.dropout else None)


def training_loader(config: Config, prepared: Prepared) -> tuple[DataLoader[dict[str, Array]], Callable[[int], None]]:
    """Augmented batches of the training split in the order that the configuration asks for, and a function to call with
    the number of each epoch.

    A last batch of a single sample is left out: it has no batch statistics. So is one with fewer samples than there are
    processes.
    """
    indices = prepared.pairs.indices("train")
    samples = Samples(prepared, indices, config.augment, config.seed)
    samples.dropout = config.modality_dropout
    samples.division = division = division_of(config)
    order = Order(prepared.pairs.targets[indices], config.seed, config.sampling == "balanced")

    def set_epoch(epoch: int) -> None:
        samples.epoch = order.epoch = epoch

    loader = DataLoader(
        samples,
        config.batch_size,
        sampler=order,
        collate_fn=samples.collate,
        num_workers=config.workers,
        drop_last=0 < len(indices) % config.batch_size < division.least <= len(indices),
    )
    return loader, set_epoch


def evaluation_loader(config: Config, prepared: Prepared, split: str) -> DataLoader[dict[str, Array]]:
    """Plain batches of a split, in order; of several processes each has every so-manieth of them, and at least one."""
    samples = Samples(prepared, prepared.pairs.indices(split), None, config.seed)
    starts = range(0, len(samples), config.batch_size)
    every = [list(range(start, min(start + config.batch_size, len(samples)))) for start in starts]
    own = every[distributed.number() :: distributed.count()] if distributed.count() > 1 else every
    return DataLoader(samples, batch_sampler=own or every[:1], collate_fn=samples.collate, num_workers=config.workers)


def division_of(config: Config) -> Division:
    """How this process divides batches with the others."""
    process = distributed.number() if distributed.count() > 1 else 0
    return Division(process, distributed.count(), config.accumulate)
