"""PMR's prototypes, weights, losses and gradients against loops from its equations, and against joint training."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from tests.training import tiny
from tests.training.conftest import Fit
from tests.training.tiny import BATCH, CLASSES, THREE, TWO
from training import catalog
from training.batch import Batch, Output
from training.config import Config
from training.errors import ConfigError
from training.evaluate import Encoded
from training.fit import prepare
from training.loop import Loop
from training.method import Run
from training.methods.pmr import PMR

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])
VARIANTS = pytest.mark.parametrize("variant", ["paper", "official-code"])
Variant = Literal["paper", "official-code"]


def build(names: tuple[str, ...] = TWO, **options: Any) -> PMR:
    return PMR(tiny.setting(names), PMR.Options(**options))


def features_of(names: tuple[str, ...], count: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Features whose classes are the further apart the later the modality is named, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    centres = {name: torch.randn(CLASSES, tiny.WIDTHS[name], generator=generator) for name in names}
    found = {
        name: rank * centres[name][labels] + torch.randn(count, tiny.WIDTHS[name], generator=generator)
        for rank, name in enumerate(names)
    }
    return found, labels


def run_at(epoch: int, features: dict[str, Tensor], labels: Tensor) -> Run:
    found = Encoded(labels, torch.arange(len(labels)), features)
    return Run(epoch, 100, torch.nn.Identity(), torch.optim.SGD([torch.zeros(1)], 0.1), lambda split: found)


def started(names: tuple[str, ...], epoch: int = 0, **options: Any) -> PMR:
    method = build(names, **options)
    method.epoch_start(run_at(epoch, *features_of(names, 60, 0)))
    return method


def output(names: tuple[str, ...], seed: int) -> tuple[Output, Batch]:
    """Logits that no feature reaches."""
    features, labels = features_of(names, BATCH, seed)
    live = {name: values.requires_grad_() for name, values in features.items()}
    return Output(torch.zeros(BATCH, CLASSES), live, {}), Batch({}, labels, labels, labels)


def clip(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))


def naive(method: PMR, out: Output, batch: Batch, early: bool) -> dict[str, Tensor]:
    """The terms by loops over samples and classes; for two modalities with the paper's ρ."""
    options, names = method.options, list(out.features)
    probability: dict[str, list[Tensor]] = {}
    for name, features in out.features.items():
        probability[name] = []
        for i in range(BATCH):
            exponents = [torch.exp(-torch.dist(features[i], method.prototypes(name)[k])) for k in range(CLASSES)]
            probability[name].append(torch.stack(exponents) / torch.stack(exponents).sum())
    labels = batch.labels.tolist()
    scores = {name: sum(float(p[y].detach()) for p, y in zip(probability[name], labels, strict=True)) for name in names}
    if len(names) == 2:
        rho = scores[names[0]] / scores[names[1]]
        pull = [clip(0, 1 / rho - 1, 1), clip(0, rho - 1, 1)]
        if options.variant == "official-code":
            pull = [0.0, 1.0] if rho > 1 else [1.0, 0.0]
        spread = [clip(0, rho - 1, 1), clip(0, 1 / rho - 1, 1)]
    else:
        pull = [clip(0, max(scores.values()) / scores[name] - 1, 1) for name in names]
        if options.variant == "official-code":
            pull = [float(scores[name] < max(scores.values())) for name in names]
        spread = [clip(0, scores[name] / min(scores.values()) - 1, 1) for name in names]
    terms = {}
    for weight, name in zip(pull, names, strict=True):
        own = torch.stack([-torch.log(p[y]) for p, y in zip(probability[name], labels, strict=True)]).mean()
        terms[f"prototype_{name}"] = options.alpha * weight * own
    if early and options.variant == "paper":
        for weight, name in zip(spread, names, strict=True):
            entropy = torch.stack([-(p * torch.log(p)).sum() for p in probability[name]]).mean()
            terms[f"entropy_{name}"] = -options.entropy * weight * entropy
    return terms


@NAMES
@VARIANTS
@pytest.mark.parametrize("momentum", [0.0, 0.2])
def test_prototypes_are_class_means_of_the_epochs_features_with_momentum(
    names: tuple[str, ...], variant: Variant, momentum: float
) -> None:
    method = build(names, momentum=momentum, variant=variant)
    expected: dict[str, list[Tensor]] = {}
    for epoch in range(4):
        features, labels = features_of(names, 40, epoch)
        method.epoch_start(run_at(epoch, features, labels))
        keep = momentum if epoch >= (2 if variant == "official-code" else 1) else 0.0
        for name in names:
            fresh = []
            for k in range(CLASSES):
                members = [features[name][i] for i in range(40) if int(labels[i]) == k]
                fresh.append(sum(members, torch.zeros(tiny.WIDTHS[name])) / len(members))
            old = expected.get(name, fresh)
            expected[name] = [(1 - keep) * new + keep * before for new, before in zip(fresh, old, strict=True)]
            torch.testing.assert_close(method.prototypes(name), torch.stack(expected[name]))


@NAMES
@VARIANTS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_terms_and_their_gradients_are_those_of_loops_from_the_equations(
    names: tuple[str, ...], variant: Variant, seed: int
) -> None:
    method = started(names, variant=variant)
    out, batch = output(names, seed)
    expected = naive(method, out, batch, early=True)
    found = method.loss(out, batch)
    torch.testing.assert_close(found.pop("task"), torch.tensor(math.log(CLASSES)))
    assert found.keys() == expected.keys()
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term, msg=name)
    inputs = list(out.features.values())
    by_loop = torch.autograd.grad(torch.stack(list(expected.values())).sum(), inputs)
    by_method = torch.autograd.grad(torch.stack(list(found.values())).sum(), inputs)
    for one, two in zip(by_method, by_loop, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert sum(float(gradient.abs().sum()) > 0 for gradient in by_loop) >= len(names) - 1
    weights = method.diagnostics()
    assert list(weights) == [f"prototype_weight_{name}" for name in names]
    assert min(weights.values()) == 0.0 and 0 < max(weights.values()) <= 1
    assert method.diagnostics() == {}


@NAMES
@VARIANTS
def test_outside_the_windows_training_is_joint(names: tuple[str, ...], variant: Variant) -> None:
    options: dict[str, Any] = {"first_epoch": 2, "last_epoch": 5, "entropy_epochs": 2, "variant": variant}
    method = build(names, **options)
    out, batch = output(names, 1)
    assert list(method.loss(out, batch)) == ["task"], "before the first epoch"
    for epoch in range(8):
        method.epoch_start(run_at(epoch, *features_of(names, 60, 0)))
        kinds = {name.split("_")[0] for name in method.loss(out, batch)}
        entropy = {"entropy"} if epoch in (2, 3) and variant == "paper" else set()
        assert kinds == {"task", *({"prototype"} if 2 <= epoch <= 5 else ()), *entropy}
        assert bool(method.diagnostics()) == (2 <= epoch <= 5)
    assert int(method.computed) == 4


def test_a_class_that_is_not_met_keeps_its_prototype_and_a_distance_of_zero_has_a_gradient() -> None:
    method = started(TWO)
    before = method.prototypes("image").clone()
    features = {name: torch.randn(4, tiny.WIDTHS[name]) for name in TWO}
    method.epoch_start(run_at(1, features, torch.tensor([0, 0, 2, 2])))
    assert torch.equal(method.prototypes("image")[1], before[1])
    assert not torch.equal(method.prototypes("image")[0], before[0])
    on_top = {name: method.prototypes(name).clone().requires_grad_() for name in TWO}
    labels = torch.arange(CLASSES)
    terms = method.loss(Output(torch.zeros(CLASSES, CLASSES), on_top, {}), Batch({}, labels, labels, labels))
    for gradient in torch.autograd.grad(torch.stack(list(terms.values())).sum(), list(on_top.values())):
        assert gradient.isfinite().all()


@NAMES
@VARIANTS
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(
    names: tuple[str, ...], variant: Variant
) -> None:
    def make() -> PMR:
        return build(names, momentum=0.3, variant=variant)

    tiny.assert_resumes(make, names, Accelerator(cpu=True))
    tiny.assert_disturbs_nothing(make, tiny.classifier(names), tiny.batches(1, names)[0])
    assert {"prototypes_image", "computed"} <= set(make().state_dict())


def test_the_features_of_a_run_are_those_of_the_training_split_without_augmentation(
    configure: Callable[..., Config], table: Path, tmp_path: Path
) -> None:
    config = configure(table, "--modalities", "image", "genomics", "--method", "pmr")
    prepared = prepare(config)
    loop = Loop(config, prepared, tmp_path / "run")
    loop.model.train()
    buffers, random = tiny.copied(loop.model), torch.get_rng_state()
    found = loop._features("train")
    assert tiny.same(buffers, tiny.copied(loop.model)) and loop.model.training
    assert torch.equal(random, torch.get_rng_state())
    train = prepared.pairs.indices("train")
    assert found.labels.tolist() == prepared.pairs.targets[train].tolist()
    loop.model.eval()
    for position, index in enumerate(train):
        for name, modality in prepared.modalities.items():
            array = torch.from_numpy(modality.stack([modality.normalise(prepared.arrays[name][index])]))
            torch.testing.assert_close(found.features[name][position], loop.model.encoders[name](array)[0])


def test_with_weights_of_0_a_training_is_a_joint_one_bit_for_bit(fit: Fit, table: Path, tmp_path: Path) -> None:
    options = ("--modalities", "image", "text", "--epochs", "2", "--keep", "last")
    assert fit(table, "--method", "joint", *options, out=tmp_path / "joint") == 0
    without = ("--method", "pmr", "--method.alpha", "0", "--method.entropy", "0")
    assert fit(table, *without, *options, out=tmp_path / "without") == 0
    assert fit(table, "--method", "pmr", *options, out=tmp_path / "pmr") == 0
    joint, zero, pmr = (load_file(tmp_path / name / "model.safetensors") for name in ("joint", "without", "pmr"))
    assert all(torch.equal(joint[name], zero[name]) for name in joint)
    assert not all(torch.equal(joint[name], pmr[name]) for name in joint)


def test_reduced_precision_is_computed_in_float32() -> None:
    method = started(TWO)
    out, batch = output(TWO, 1)
    reduced = Output(out.logits, {name: values.bfloat16() for name, values in out.features.items()}, {})
    again = Output(out.logits, {name: values.float() for name, values in reduced.features.items()}, {})
    found, expected = method.loss(reduced, batch), method.loss(again, batch)
    assert all(torch.equal(found[name], expected[name]) and found[name].dtype == torch.float32 for name in expected)


def test_the_catalogue_finds_it_and_its_defaults_are_the_released_commands() -> None:
    assert catalog.load("methods", "pmr") is PMR
    options = PMR.Options()
    assert (options.alpha, options.momentum, options.first_epoch, options.last_epoch) == (2.0, 0.0, 0, 70)
    assert options.variant == "paper"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -0.1}, "method.alpha"),
        ({"entropy": math.nan}, "method.entropy"),
        ({"entropy_epochs": -1}, "method.entropy_epochs must not be negative"),
        ({"momentum": 1.0}, "method.momentum must be from 0 up to, not including, 1, not 1.0"),
        ({"first_epoch": 9, "last_epoch": 8}, "method.first_epoch must be from 0 to last_epoch, 8, not 9"),
    ],
)
def test_impossible_options_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PMR.Options(**options)


def test_a_single_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more modalities, it got image"):
        build(("image",))
