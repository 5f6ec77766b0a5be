"""Batches: every sample once an epoch, changed by seed, epoch and sample alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.modalities import Array
from training.augment import augment
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


def batches(config: Config, prepared: Prepared, epochs: int, start: int = 0) -> list[Batch]:
    """Of the training and of the validation split, epoch by epoch, from the same loaders."""
    loader, set_epoch = training_loader(config, prepared)
    validation = evaluation_loader(config, prepared, "val", lasting=True)
    found: list[Batch] = []
    for epoch in range(epochs):
        set_epoch(epoch, start)
        found += [*loader, *validation]
    return found


def identical(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        all(torch.equal(tensor, b.inputs[name]) for name, tensor in a.inputs.items())
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.samples, b.samples)
        and (a.present is None or (b.present is not None and torch.equal(a.present, b.present)))
        for a, b in zip(one, other, strict=True)
    )


def test_batches_are_the_same_bit_for_bit_with_any_number_of_workers_that_live_on(
    config: Config, prepared: Prepared
) -> None:
    chosen = replace(config, modality_dropout=0.3)
    expected = batches(chosen, prepared, 3)
    before = torch.get_rng_state()
    for workers in (1, 2):
        assert identical(expected, batches(replace(chosen, workers=workers), prepared, 3)), workers
    assert torch.equal(torch.get_rng_state(), before), "and take nothing from the training's random numbers"
    assert not identical(expected, batches(replace(chosen, seed=5), prepared, 3))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_begin_at_a_later_batch_without_the_first_being_made(
    workers: int, config: Config, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batches(config, prepared, 1)
    made: list[str] = []

    def count(name: str, array: Array, options: AugmentOptions, generator: np.random.Generator) -> Array:
        made.append(name)
        return augment(name, array, options, generator)

    monkeypatch.setattr("training.loading.augment", count)
    rest = batches(replace(config, workers=workers), prepared, 1, start=16)
    assert identical(whole[2:], rest)
    assert len(made) == (0 if workers else 2 * len(prepared.modalities)), "two samples are left of 18"


def test_batches_are_pinned_only_where_there_is_an_accelerator(
    config: Config, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there, device, pinned in ((False, "auto", False), (True, "cpu", False), (True, "auto", True)):
        monkeypatch.setattr("torch.accelerator.is_available", lambda there=there: there)
        loader, _ = training_loader(replace(config, device=device), prepared)  # type: ignore[arg-type]
        assert loader.pin_memory == pinned


def test_a_batch_is_pinned_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    zeros = torch.zeros(2, dtype=torch.int64)
    found = Batch({"image": zeros}, zeros, zeros, zeros, zeros).pin_memory()
    assert all(part is not None and part.eq(1).all() for part in (found.inputs["image"], found.labels, found.present))
    assert found.samples.eq(1).all() and found.groups.eq(1).all()
    assert Batch({}, zeros, zeros, zeros).pin_memory().present is None
