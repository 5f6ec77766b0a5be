"""Tiny classifiers with real encoders, and the steps of the loop, for the tests of the methods."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bundle.modalities import Genomics, Image, Pathology
from training.batch import Batch
from training.encoders.convolutional import Convolutional
from training.encoders.snn import SelfNormalising
from training.evaluate import encode
from training.fusion.concat import Concat
from training.method import Method, Run, Setting
from training.model import Classifier

TWO, THREE = ("image", "pathology"), ("image", "pathology", "genomics")
"""Two convolutional encoders; and a third one without any convolution."""
CLASSES, BATCH, COLUMNS = 3, 12, 7
WIDTHS = {"image": 8, "pathology": 4, "genomics": 6}


def classifier(names: tuple[str, ...], seed: int = 0) -> Classifier:
    """Encoders of different widths, and a concatenation."""
    torch.manual_seed(seed)
    columns = tuple(f"gene_{number}" for number in range(COLUMNS))
    genomics = Genomics(columns, (0.0,) * COLUMNS, (0.0,) * COLUMNS, (1.0,) * COLUMNS)
    encoders: dict[str, Any] = {
        "image": Convolutional(Image(8), Convolutional.Options(width=8, blocks=2)),
        "pathology": Convolutional(Pathology(8), Convolutional.Options(width=4, blocks=1)),
        "genomics": SelfNormalising(genomics, SelfNormalising.Options(widths=(10, 6), dropout=0.25)),
    }
    return Classifier({name: encoders[name] for name in names}, Concat({n: WIDTHS[n] for n in names}, CLASSES), CLASSES)


def setting(names: tuple[str, ...], seed: int = 0) -> Setting:
    """What a method for `classifier(names)` is built for."""
    return Setting({name: WIDTHS[name] for name in names}, CLASSES, seed, 0.01)


def batches(count: int, names: tuple[str, ...]) -> list[Batch]:
    """Batches with weak signal; samples come again after three of them, and some share a group."""
    generator = torch.Generator().manual_seed(11)
    found = []
    for step in range(count):
        labels = torch.randint(CLASSES, (BATCH,), generator=generator)
        genes = torch.randn(BATCH, COLUMNS, generator=generator) + labels[:, None]
        pictures = {
            name: torch.randint(0, 150, (BATCH, 3, 8, 8), generator=generator) + 50 * labels[:, None, None, None]
            for name in ("image", "pathology")
        }
        inputs = {**{name: values.to(torch.uint8) for name, values in pictures.items()}, "genomics": genes}
        samples = torch.arange(step * BATCH, (step + 1) * BATCH) % 40
        found.append(Batch({name: inputs[name] for name in names}, labels, samples, samples // 2))
    return found


def run(epoch: int, model: Classifier, found: list[Batch], optimizer: torch.optim.Optimizer | None = None) -> Run:
    """What a method is told when an epoch starts, with these batches as training split; as validation split the last
    one, its labels mixed up, as far as an overfitted model is concerned.
    """
    mixed = replace(found[-1], labels=found[-1].labels.roll(1))
    splits = {"train": found, "val": [mixed]}
    optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.1)
    return Run(epoch, 100, model, optimizer, lambda split: encode(model, splits[split], Accelerator(cpu=True)))


def optimiser(model: nn.Module, method: Method) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum, over what the loop would train."""
    parameters = [*model.parameters(), *method.trained()]
    return torch.optim.SGD(parameters, 0.05, momentum=0.9, weight_decay=1e-4)


def gradients(model: Classifier, method: Method, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
    """What the loop does with a batch up to the optimiser's step; returns the terms of the loss."""
    terms: dict[str, Tensor] = method(model(batch.inputs), batch)
    model.zero_grad()
    method.zero_grad()
    method.backward(terms, accelerator)
    method.gradients(model)
    return terms


def train(
    model: Classifier, method: Method, optimizer: torch.optim.Optimizer, found: list[Batch], accelerator: Accelerator
) -> list[list[Tensor]]:
    """A step on each batch; returns the classifier's parameters and buffers after each."""
    path = []
    for batch in found:
        gradients(model, method, batch, accelerator)
        optimizer.step()
        path.append(copied(model))
    return path


def start(epoch: int, model: Classifier, method: Method, optimizer: torch.optim.Optimizer, found: list[Batch]) -> None:
    """What the loop does before an epoch."""
    model.train()
    method.train()
    method.epoch_start(run(epoch, model, found, optimizer))


def copied(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers as they are now."""
    return [value.detach().clone() for value in (*module.parameters(), *module.buffers())]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Bit for bit."""
    return len(one) == len(other) and all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def cloned(value: Any) -> Any:
    """A state that further training leaves alone."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: cloned(entry) for key, entry in value.items()}
    return [cloned(entry) for entry in value] if isinstance(value, list) else value


def assert_resumes(make: Callable[[], Method], names: tuple[str, ...], accelerator: Accelerator) -> None:
    """An epoch, a saved state, another one; the same from the saved state alone, other weights to begin with."""
    found = batches(6, names)
    model, method = classifier(names), make()
    optimizer = optimiser(model, method)
    torch.manual_seed(4)
    start(0, model, method, optimizer, found)
    train(model, method, optimizer, found[:3], accelerator)
    saved = [cloned(part.state_dict()) for part in (model, method, optimizer)]
    random = torch.get_rng_state()
    start(1, model, method, optimizer, found)
    expected = train(model, method, optimizer, found[3:], accelerator)

    other, resumed = classifier(names, seed=8), make()
    second = optimiser(other, resumed)
    start(0, other, resumed, second, found)
    train(other, resumed, second, found[:1], accelerator)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    second.load_state_dict(saved[2])
    torch.set_rng_state(random)
    start(1, other, resumed, second, found)
    again = train(other, resumed, second, found[3:], accelerator)
    assert all(same(*pair) for pair in zip(expected, again, strict=True))
    assert same(copied(method), copied(resumed))


def assert_disturbs_nothing(make: Callable[[], Method], model: Classifier, batch: Batch) -> None:
    """Building the method and computing its loss and gradients draw no global random number."""
    model.eval()  # dropout does draw
    torch.manual_seed(123)
    before = torch.get_rng_state()
    method = make()
    assert torch.equal(before, torch.get_rng_state())
    method.epoch_start(run(0, model, [batch]))
    method.backward(method(model(batch.inputs), batch), Accelerator(cpu=True))
    method.gradients(model)
    assert torch.equal(before, torch.get_rng_state())
