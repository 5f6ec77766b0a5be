"""Batches from decoded samples: augmented for training, plain for evaluation, reproducible in both."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from bundle.modalities import MODALITIES, Array
from training import distributed, frames
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
    are left out (`dropout`), and which of a clip's frames are taken, depends on the same.

    A sample is asked for by the epoch and its number in it: workers live on from epoch to epoch, and hear of a new one
    by that alone. Of a batch that is divided among processes (`division`) the others' samples are described, not read.
    """

    def __init__(
        self, prepared: Prepared, indices: NDArray[np.int64], augmentation: AugmentOptions | None, seed: int
    ) -> None:
        self.dropout = 0.0
        self.division = Division()
        self.prepared = prepared
        self.indices = indices
        self.augmentation = augmentation if augmentation is not None and augmentation.enabled else None
        self.seed = seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, Array]]:
        """A batch: what is known of every sample, and the arrays of those that this process encodes."""
        own = {place for part in self.division.divide(len(keys)) for place in self.division.own(part)}
        return [self[key] if place in own else self._known(key) for place, key in enumerate(keys)]

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Array]:
        sample = self._known(key)
        index, _ = self._place(key)
        for name, modality in self.prepared.modalities.items():
            array = self.prepared.arrays[name][index]
            if self.augmentation is not None:
                if name in self.prepared.pools:
                    pool = self.prepared.pools[name][index]
                    array = frames.draw(pool, len(array), self._generator(key, frames.STREAM))
                array = augment(name, array, self.augmentation, self._generator(key, STREAMS[name]))
            sample[name] = modality.normalise(array)
        return sample

    def _known(self, key: tuple[int, int]) -> dict[str, Array]:
        """Label, number, group and what is left in."""
        index, _ = self._place(key)
        pairs = self.prepared.pairs
        present = np.ones(len(self.prepared.modalities), np.bool_)
        if self.dropout:
            present = left_in(len(present), self.dropout, self._generator(key, STREAM))
        return {"": np.array([pairs.targets[index], index, pairs.groups[index], *present])}

    def _place(self, key: tuple[int, int]) -> tuple[int, int]:
        """Which sample of the dataset is asked for, and how often the epoch had it before."""
        before, position = divmod(key[1], len(self.indices))
        return int(self.indices[position]), before

    def _generator(self, key: tuple[int, int], stream: int) -> np.random.Generator:
        index, before = self._place(key)
        return np.random.default_rng((self.seed, key[0], index, stream, *((before,) if before else ())))

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


class Numbered(Sampler[tuple[int, int]]):
    """Epoch and number of each sample of an order, or of epoch 0 some numbers."""

    def __init__(self, order: Order | Sequence[int]) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.order.epoch if isinstance(self.order, Order) else 0
        return ((epoch, number) for number in self.order)


class SetEpoch(Protocol):
    """Says which epoch the next pass over a loader is, and how many of its samples are left out at the beginning."""

    def __call__(self, epoch: int, start: int = 0) -> None:
        """Epochs count from 0; `start` is a multiple of the batch size."""


def training_loader(config: Config, prepared: Prepared) -> tuple[DataLoader[dict[str, Array]], SetEpoch]:
    """Augmented batches of the training split in the order that the configuration asks for, and a function to call with
    the number of each epoch.

    A last batch of a single sample is left out: it has no batch statistics. So is one with fewer samples than there are
    processes.
    """
    indices = prepared.pairs.indices("train")
    samples = Samples(prepared, indices, config.augment, config.seed)
    samples.dropout = config.modality_dropout
    samples.division = division_of(config)
    order = Order(prepared.pairs.targets[indices], config.seed, config.sampling == "balanced")

    def set_epoch(epoch: int, start: int = 0) -> None:
        order.epoch, order.start = epoch, start

    few = 0 < len(indices) % config.batch_size < samples.division.least <= len(indices)
    return _loader(config, samples, Numbered(order), drop_last=few), set_epoch


def evaluation_loader(
    config: Config, prepared: Prepared, split: str, lasting: bool = False
) -> DataLoader[dict[str, Array]]:
    """Plain batches of a split, in order; with `lasting` its workers live on for the next pass.

    Several processes take turns with the batches; one that has none takes the first again, and `gathering.everyone`
    keeps each sample once.
    """
    samples = Samples(prepared, prepared.pairs.indices(split), None, config.seed)
    numbers, division = range(len(samples)), division_of(config)
    turns = range(division.process * config.batch_size, len(numbers), division.processes * config.batch_size)
    own = [number for start in turns for number in numbers[start : start + config.batch_size]]
    return _loader(config, samples, Numbered(own or numbers[: config.batch_size]), lasting=lasting)


def _loader(
    config: Config, samples: Samples, sampler: Numbered, drop_last: bool = False, lasting: bool = True
) -> DataLoader[dict[str, Array]]:
    return DataLoader(
        samples,
        config.batch_size,
        sampler=sampler,
        collate_fn=samples.collate,
        num_workers=config.workers,
        drop_last=drop_last,
        pin_memory=config.device != "cpu" and torch.accelerator.is_available(),
        persistent_workers=lasting and config.workers > 0,
        generator=torch.Generator(),  # else each pass takes a number from the one that training draws from
    )


def division_of(config: Config) -> Division:
    """How this process divides batches with the others."""
    process = distributed.number() if distributed.count() > 1 else 0
    return Division(process, distributed.count(), config.accumulate)
