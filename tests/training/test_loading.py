"""Batches: every sample once an epoch, changed by seed, epoch and sample alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.batch import Batch
from training.config import AugmentOptions, Config
from training.fit import prepare
from training.loading import evaluation_loader, training_loader
from training.preparation import Prepared


@pytest.fixture
def config(table: Path, configure: Callable[..., Config]) -> Config:
    return configure(table, "--method", "joint")


@pytest.fixture
def prepared(config: Config) -> Prepared:
    return prepare(config)


def epoch(config: Config, prepared: Prepared, number: int) -> dict[int, Batch]:
    """One epoch's samples, by their number."""
    loader, set_epoch = training_loader(config, prepared)
    set_epoch(number)
    return by_sample(loader)


def by_sample(loader: object) -> dict[int, Batch]:
    found: dict[int, Batch] = {}
    for batch in loader:  # type: ignore[attr-defined]
        for position, sample in enumerate(batch.samples.tolist()):
            one = slice(position, position + 1)
            inputs = {name: tensor[one] for name, tensor in batch.inputs.items()}
            assert sample not in found
            found[sample] = Batch(inputs, batch.labels[one], batch.samples[one], batch.groups[one])
    return found


def same(one: Batch, other: Batch, but: tuple[str, ...] = ()) -> bool:
    """Whether two samples are the same; texts are compared without their padding."""
    return all(
        torch.equal(values[values != 0], other.inputs[name][other.inputs[name] != 0])
        if name == "text"
        else torch.equal(values, other.inputs[name])
        for name, values in one.inputs.items()
        if name not in but
    )


def test_every_training_sample_comes_once_with_its_label_and_group(config: Config, prepared: Prepared) -> None:
    found = epoch(config, prepared, 0)
    pairs = prepared.pairs
    assert sorted(found) == pairs.indices("train").tolist()
    for sample, batch in found.items():
        assert (int(batch.labels), int(batch.groups)) == (pairs.targets[sample], pairs.groups[sample])


def test_a_batch_has_the_types_and_shapes_of_the_graph(config: Config, prepared: Prepared) -> None:
    loader, _ = training_loader(config, prepared)
    batch = next(iter(loader))
    for name, modality in prepared.modalities.items():
        tensor = batch.inputs[name]
        assert str(tensor.dtype) == f"torch.{modality.dtype}"
        assert len(tensor) == 8 and all(
            stated in (None, size) for size, stated in zip(tensor.shape[1:], modality.shape, strict=True)
        )


def test_samples_are_changed_by_seed_epoch_and_number_alone(config: Config, prepared: Prepared) -> None:
    plain = epoch(config, prepared, 3)
    variants = {
        "again": config,
        "other batches": replace(config, batch_size=5),
        "workers": replace(config, workers=2),
    }
    for what, variant in variants.items():
        again = epoch(variant, prepared, 3)
        assert all(same(plain[sample], again[sample]) for sample in plain), what
    for what, other in {
        "epoch": epoch(config, prepared, 4),
        "seed": epoch(replace(config, seed=1), prepared, 3),
    }.items():
        assert not any(same(plain[sample], other[sample]) for sample in plain), what


def test_a_modality_is_changed_alike_whatever_its_partners(config: Config, prepared: Prepared) -> None:
    two = ("genomics", "image")
    fewer = Prepared(prepared.pairs.only(two), {name: prepared.modalities[name] for name in two}, prepared.arrays)
    whole, part = epoch(config, prepared, 1), epoch(config, fewer, 1)
    assert all(same(part[sample], whole[sample]) for sample in part)


def test_the_order_is_another_each_epoch_and_the_same_for_the_same_seed(config: Config, prepared: Prepared) -> None:
    orders = [list(epoch(replace(config, seed=seed), prepared, number)) for seed, number in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(order) for order in orders}) == 3
    assert list(epoch(config, prepared, 1)) == orders[1]


@pytest.mark.parametrize("split", ["val", "test"])
def test_validation_and_test_samples_come_in_order_and_unchanged(
    split: str, config: Config, prepared: Prepared
) -> None:
    found = by_sample(evaluation_loader(config, prepared, split))
    assert list(found) == prepared.pairs.indices(split).tolist()
    for sample, batch in found.items():
        for name, modality in prepared.modalities.items():
            expected = modality.normalise(np.asarray(prepared.arrays[name][sample]))
            tensor = batch.inputs[name][0].numpy()
            assert np.array_equal(tensor[tensor != 0] if name == "text" else tensor, expected)


def test_without_augmentation_training_samples_are_those_of_serving(config: Config, prepared: Prepared) -> None:
    off = replace(config, augment=AugmentOptions(enabled=False))
    found = epoch(off, prepared, 2)
    for sample, batch in found.items():
        payload = Path(str(prepared.pairs.sources["image"][sample])).read_bytes()
        image = prepared.modalities["image"]
        assert np.array_equal(batch.inputs["image"][0].numpy(), image.normalise(image.decode(payload)))
    assert all(same(found[sample], batch) for sample, batch in epoch(off, prepared, 7).items())


@pytest.mark.parametrize(("size", "batches"), [(17, 1), (18, 1), (5, 4), (16, 2)])
def test_a_last_batch_of_a_single_sample_is_left_out(
    size: int, batches: int, config: Config, prepared: Prepared
) -> None:
    loader, _ = training_loader(replace(config, batch_size=size), prepared)
    assert len(list(loader)) == len(loader) == batches
