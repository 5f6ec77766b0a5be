"""OGM-GE's coefficients, gradients and noise against what its equations say, tensor by tensor."""

import math
from typing import Any, Literal, cast

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tests.training import tiny
from tests.training.tiny import BATCH, CLASSES, THREE, TWO
from training import catalog
from training.batch import Batch, Output
from training.errors import ConfigError
from training.methods.joint import Joint
from training.methods.ogm_ge import OGMGE

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])
Variant = Literal["paper", "official-code"]


def build(names: tuple[str, ...] = TWO, seed: int = 0, **options: Any) -> OGMGE:
    return OGMGE(tiny.setting(names, seed), OGMGE.Options(**options))


def naive(shares: dict[str, Tensor], labels: Tensor, alpha: float) -> dict[str, float]:
    """k_u by loops; for two modalities from the paper's ratio of one to the other."""
    scores = {}
    for name, share in shares.items():
        scores[name] = 0.0
        for i, label in enumerate(labels.tolist()):
            exponents = [math.exp(value) for value in share[i].tolist()]
            scores[name] += exponents[label] / sum(exponents)
    found = {}
    for name in shares:
        others = [score for other, score in scores.items() if other != name]
        ratio = scores[name] / min(others) if len(others) == 1 else scores[name] / min(scores.values())
        found[name] = 1 - math.tanh(alpha * max(ratio, 0.0)) if ratio > 1 else 1.0
    return found


def by_name(model: nn.Module) -> dict[str, Tensor]:
    """All but those of stand-ins, which no loss here depends on."""
    return {name: cast(Tensor, p.grad).clone() for name, p in model.named_parameters() if "stand_ins" not in name}


def joint_gradients(names: tuple[str, ...], batch: Batch) -> dict[str, Tensor]:
    model = tiny.classifier(names)
    torch.manual_seed(3)
    tiny.gradients(model, Joint(tiny.setting(names), Joint.Options()), batch, Accelerator(cpu=True))
    return by_name(model)


def modulated_gradients(method: OGMGE, names: tuple[str, ...], batch: Batch) -> dict[str, Tensor]:
    model = tiny.classifier(names)
    torch.manual_seed(3)
    tiny.gradients(model, method, batch, Accelerator(cpu=True))
    return by_name(model)


def is_modulated(name: str, gradient: Tensor, variant: str) -> bool:
    if name.startswith("encoders.genomics"):
        return variant == "paper"
    return name.startswith("encoders.") and gradient.dim() == 4


def shares_of(names: tuple[str, ...], batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(3)
    model = tiny.classifier(names).train()
    torch.manual_seed(3)
    out: Output = model(batch.inputs)
    return {name: share.detach() for name, share in out.shares.items()}


@NAMES
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.8, 2.6])
def test_coefficients_are_those_of_a_loop_from_the_equations(names: tuple[str, ...], alpha: float) -> None:
    generator = torch.Generator().manual_seed(2)
    slowed = 0
    for _ in range(10):
        shares = {name: 3 * torch.randn(BATCH, CLASSES, generator=generator) for name in names}
        labels = torch.randint(CLASSES, (BATCH,), generator=generator)
        found = build(names, alpha=alpha).coefficients(
            Output(torch.zeros(BATCH, CLASSES), {}, shares), Batch({}, labels, labels, labels)
        )
        expected = naive(shares, labels, alpha)
        assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-4, abs=1e-6)
        slowed += sum(value < 1 for value in expected.values())
    assert slowed == (0 if alpha == 0 else 10 * (len(names) - 1))


def test_modalities_that_are_alike_and_hopeless_keep_their_speed() -> None:
    labels = torch.zeros(BATCH, dtype=torch.long)
    for shares in (torch.randn(BATCH, CLASSES), torch.tensor([[-1e4, 0.0, 0.0]]).repeat(BATCH, 1)):
        out = Output(shares, {}, {"image": shares, "pathology": shares.clone()})
        found = build().coefficients(out, Batch({}, labels, labels, labels))
        assert {name: float(value) for name, value in found.items()} == {"image": 1.0, "pathology": 1.0}


@NAMES
@pytest.mark.parametrize("variant", ["paper", "official-code"])
def test_kernels_are_scaled_by_their_own_modalitys_coefficient_and_nothing_else_is(
    names: tuple[str, ...], variant: Variant
) -> None:
    (batch,) = tiny.batches(1, names)
    before = joint_gradients(names, batch)
    method = build(names, noise=False, variant=variant)
    after = modulated_gradients(method, names, batch)
    coefficients = naive(shares_of(names, batch), batch.labels, 0.8)
    assert min(coefficients.values()) < 0.5
    touched = 0
    for name, gradient in before.items():
        if is_modulated(name, gradient, variant):
            torch.testing.assert_close(after[name], coefficients[name.split(".")[1]] * gradient, rtol=1e-4, atol=1e-8)
            touched += 1
        else:
            assert torch.equal(after[name], gradient), name
    whole = 4 if len(names) == 3 and variant == "paper" else 0  # two linear layers
    assert touched == 3 + whole
    assert method.diagnostics() == pytest.approx({f"coefficient_{k}": v for k, v in coefficients.items()}, rel=1e-4)
    assert method.diagnostics() == {}


@NAMES
@pytest.mark.parametrize("variant", ["paper", "official-code"])
def test_noise_is_normal_with_each_unmodulated_gradients_own_standard_deviation(
    names: tuple[str, ...], variant: Variant
) -> None:
    (batch,) = tiny.batches(1, names)
    before = joint_gradients(names, batch)
    coefficients = naive(shares_of(names, batch), batch.labels, 0.8)
    method = build(names, variant=variant)
    model = tiny.classifier(names)
    torch.manual_seed(3)
    tiny.gradients(model, method, batch, Accelerator(cpu=True))
    drawn: dict[str, list[Tensor]] = {name: [] for name in before}
    for _ in range(300):
        for name, parameter in model.named_parameters():
            parameter.grad = before[name].clone() if name in before else None
        method.gradients(model)
        for name, after in by_name(model).items():
            k = coefficients[name.split(".")[1]] if is_modulated(name, after, variant) else 1.0
            drawn[name].append((after - k * before[name]).flatten())
    first = {}
    for name, values in drawn.items():
        noise = torch.stack(values).double()
        if not is_modulated(name, before[name], variant):
            assert not noise.any(), name
            continue
        entries = before[name].flatten().tolist()
        mean = sum(entries) / len(entries)
        deviation = math.sqrt(sum((entry - mean) ** 2 for entry in entries) / (len(entries) - 1))
        standard = noise / deviation
        count = standard.numel()
        assert abs(float(standard.mean())) < 5 / math.sqrt(count), name
        assert float(standard.square().mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / count)), name
        assert float(standard.pow(4).mean()) == pytest.approx(3, abs=5 * math.sqrt(96 / count)), name
        steps = standard[:-1] * standard[1:]
        assert abs(float(steps.mean())) < 5 / math.sqrt(count), "no step repeats another's noise"
        first[name] = standard[:, : min(6, standard.shape[1])]
    for one in first:
        for other in first:
            width = min(first[one].shape[1], first[other].shape[1])
            product = first[one][:, :width] * first[other][:, :width]
            if one != other:
                assert abs(float(product.mean())) < 5 / math.sqrt(product.numel()), "each tensor has its own noise"


@NAMES
def test_outside_the_window_training_is_joint_bit_for_bit(names: tuple[str, ...]) -> None:
    (batch,) = tiny.batches(1, names)
    before = joint_gradients(names, batch)
    method = build(names, first_epoch=2, last_epoch=4)
    assert all(torch.equal(before[name], g) for name, g in modulated_gradients(method, names, batch).items())
    for epoch in range(7):
        method.epoch_start(tiny.run(epoch, tiny.classifier(names), [batch]))
        after = modulated_gradients(method, names, batch)
        assert all(torch.equal(before[name], after[name]) for name in before) == (epoch not in (2, 3, 4))
        assert bool(method.diagnostics()) == (epoch in (2, 3, 4))


@NAMES
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(names: tuple[str, ...]) -> None:
    tiny.assert_resumes(lambda: build(names), names, Accelerator(cpu=True))
    tiny.assert_disturbs_nothing(lambda: build(names), tiny.classifier(names), tiny.batches(1, names)[0])


def test_the_noise_depends_on_the_seed_alone() -> None:
    (batch,) = tiny.batches(1, TWO)
    one, two, three = (modulated_gradients(build(seed=seed), TWO, batch) for seed in (4, 4, 5))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], three[name]) for name in one)


def test_parameters_without_gradient_and_of_a_single_entry_are_no_trouble() -> None:
    model, method = tiny.classifier(TWO), build(variant="paper")
    model.encoders["pathology"] = nn.Linear(1, 1)
    (batch,) = tiny.batches(1, TWO)
    shares = {name: torch.randn(BATCH, CLASSES) for name in TWO}
    method.loss(Output(torch.zeros(BATCH, CLASSES), {}, shares), batch)
    for parameter in model.encoders["pathology"].parameters():
        parameter.grad = torch.ones_like(parameter)
    method.gradients(model)
    expected = naive(shares, batch.labels, 0.8)["pathology"]
    for parameter in model.encoders["pathology"].parameters():
        assert float(cast(Tensor, parameter.grad)) == pytest.approx(expected)
    assert all(parameter.grad is None for parameter in model.encoders["image"].parameters())


def test_the_catalogue_finds_it_and_its_defaults_are_the_released_codes() -> None:
    assert catalog.load("methods", "ogm_ge") is OGMGE
    options = OGMGE.Options()
    assert (options.alpha, options.noise, options.first_epoch, options.last_epoch) == (0.8, True, 0, 50)
    assert options.variant == "paper"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -0.1}, "method.alpha must not be negative"),
        ({"alpha": math.nan}, "method.alpha"),
        ({"first_epoch": -1}, "method.first_epoch must be from 0 to last_epoch, 50, not -1"),
        ({"first_epoch": 9, "last_epoch": 8}, "method.first_epoch must be from 0 to last_epoch, 8, not 9"),
    ],
)
def test_impossible_options_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OGMGE.Options(**options)


def test_a_single_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more modalities, it got image"):
        build(("image",))
