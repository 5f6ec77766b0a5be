"""Batches from decoded samples: augmented for training, plain for evaluation, reproducible in both."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from bundle.modalities import MODALITIES, Array
from training.absence import STREAM, left_in
from training.augment import augment
from training.batch import Batch
from training.config import AugmentOptions, Config
from training.preparation import Prepared
from training.sampling import Order

STREAMS = {name: number for number, name in enumerate(MODALITIES)}


class Samples(Dataset[dict[str, Array]]):
    """One split's samples, normalised; with `augmentation`, changed anew each epoch.

    The change depends on seed, epoch, sample and modality alone, not on batch order, the number of workers or the other
    modalities; and, of a sample that an epoch has again (see `Order`), on how often it had it before. Which modalities
    are left out (`dropout`) depends on the same.
    """

    def __init__(
        self, prepared: Prepared, indices: NDArray[np.int64], augmentation: AugmentOptions | None, seed: int
    ) -> None:
        self.dropout = 0.0
        self.prepared = prepared
        self.indices = indices
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> dict[str, Array]:
        before, position = divmod(number, len(self.indices))
        index = int(self.indices[position])
        again = (before,) if before else ()
        pairs = self.prepared.pairs
        present = np.ones(len(self.prepared.modalities), np.bool_)
        if self.dropout:
            generator = np.random.default_rng((self.seed, self.epoch, index, STREAM, *again))
            present = left_in(len(present), self.dropout, generator)
        sample: dict[str, Array] = {"": np.array([pairs.targets[index], index, pairs.groups[index], *present])}
        for name, modality in self.prepared.modalities.items():
            array = np.asarray(self.prepared.arrays[name][index])
            if self.augmentation is not None:
                generator = np.random.default_rng((self.seed, self.epoch, index, STREAMS[name], *again))
                array = augment(name, array, self.augmentation, generator)
            sample[name] = modality.normalise(array)
        return sample

    def collate(self, samples: Sequence[dict[str, Array]]) -> Batch:
        """Join samples into a batch."""
        inputs = {
            name: torch.from_numpy(modality.stack([sample[name] for sample in samples]))
            for name, modality in self.prepared.modalities.items()
        }
        labels, numbers, groups, *present = torch.from_numpy(
            np.stack([sample[""] for sample in samples])
        ).T.contiguous()
        return Batch(inputs, labels, numbers, groups, torch.stack(present, dim=1).bool() if self.dropout else None)


def training_loader(config: Config, prepared: Prepared) -> tuple[DataLoader[dict[str, Array]], Callable[[int], None]]:
    """Augmented batches of the training split in the order that the configuration asks for, and a function to call with
    the number of each epoch.

    A last batch of a single sample is left out: it has no batch statistics.
    """
    indices = prepared.pairs.indices("train")
    samples = Samples(prepared, indices, config.augment, config.seed)
    samples.dropout = config.modality_dropout
    order = Order(prepared.pairs.targets[indices], config.seed, config.sampling == "balanced")

    def set_epoch(epoch: int) -> None:
        samples.epoch = order.epoch = epoch

    loader = DataLoader(
        samples,
        config.batch_size,
        sampler=order,
        collate_fn=samples.collate,
        num_workers=config.workers,
        drop_last=len(indices) % config.batch_size == 1 and len(indices) > 1,
    )
    return loader, set_epoch


def evaluation_loader(config: Config, prepared: Prepared, split: str) -> DataLoader[dict[str, Array]]:
    """Plain batches of a split, in order."""
    samples = Samples(prepared, prepared.pairs.indices(split), None, config.seed)
    return DataLoader(samples, config.batch_size, collate_fn=samples.collate, num_workers=config.workers)
