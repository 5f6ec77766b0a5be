"""MMPareto's weights against a search, and its gradients against separate backward passes and the equations."""

import math
from typing import Any, Literal, cast

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from tests.training import tiny
from tests.training.tiny import BATCH, CLASSES, THREE, TWO
from training import catalog
from training.batch import Batch, Output
from training.errors import ConfigError
from training.methods.mmpareto import MMPareto, pareto_weight
from training.model import Classifier

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])
VARIANTS = pytest.mark.parametrize("variant", ["paper", "official-code"])
Variant = Literal["paper", "official-code"]


def build(names: tuple[str, ...] = TWO, seed: int = 0, **options: Any) -> MMPareto:
    return MMPareto(tiny.setting(names, seed), MMPareto.Options(**options))


def oppose(method: MMPareto, model: Classifier) -> None:
    """Let every head want nearly the opposite of what the fusion wants."""
    with torch.no_grad():
        for name, head in method.heads.items():
            share = cast(nn.ModuleDict, model.fusion.heads)[name]
            weight = cast(Tensor, share.weight)
            noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
            cast(Tensor, head.weight).copy_(-0.5 * weight + 0.1 * noise)


def search(first: Tensor, second: Tensor) -> float:
    """The k_1 from 0 to 1 of the shortest k_1 first + (1 - k_1) second, by trying all, finer and finer."""
    low, high = 0.0, 1.0
    for _ in range(6):
        tried = torch.linspace(low, high, 41, dtype=torch.float64)
        lengths = [float((k * first.double() + (1 - k) * second.double()).norm()) for k in tried]
        best = min(range(41), key=lengths.__getitem__)
        low, high = float(tried[max(best - 1, 0)]), float(tried[min(best + 1, 40)])
    return (low + high) / 2


def one_by_one(names: tuple[str, ...], method: MMPareto, batch: Batch) -> dict[str, dict[str, Tensor]]:
    """By loss and parameter, the gradient of that loss alone, each from a forward pass of its own."""
    found = {}
    for term in ("task", *names):
        model = tiny.classifier(names).train()
        torch.manual_seed(3)
        out: Output = model(batch.inputs)
        logits = out.logits if term == "task" else method.heads[term](out.features[term])
        torch.autograd.backward(functional.cross_entropy(logits, batch.labels))
        found[term] = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}
    return found


@NAMES
@VARIANTS
@pytest.mark.parametrize("conflicting", [True, False])
def test_gradients_are_those_of_separate_passes_joined_by_the_equations(
    names: tuple[str, ...], variant: Variant, conflicting: bool
) -> None:
    (batch,) = tiny.batches(1, names)
    method, model = build(names, variant=variant), tiny.classifier(names)
    if conflicting:
        oppose(method, model)
    else:
        for name, head in method.heads.items():
            head.load_state_dict(cast(nn.ModuleDict, model.fusion.heads)[name].state_dict())
    alone = one_by_one(names, method, batch)
    torch.manual_seed(3)
    tiny.gradients(model, method, batch, Accelerator(cpu=True))
    conflicts = 0
    for modality in names:
        keys = [name for name in alone["task"] if name.startswith(f"encoders.{modality}.")]
        fused, own = ({key: alone[term][key] for key in keys} for term in ("task", modality))
        first, second = (torch.cat([values[key].flatten() for key in keys]) for values in (fused, own))
        conflict = float(functional.cosine_similarity(first, second, dim=0)) <= 0
        conflicts += conflict
        k = search(first, second) if conflict else 0.5
        integrated = {key: 2 * k * fused[key] + 2 * (1 - k) * own[key] for key in keys}
        for key in keys:
            over = [key] if variant == "official-code" else keys
            before = math.sqrt(sum(float(((fused[one] + own[one]) ** 2).sum()) for one in over))
            after = math.sqrt(sum(float((integrated[one] ** 2).sum()) for one in over))
            expected = 1.5 * max(before / after, 1) * integrated[key]
            found = model.get_parameter(key).grad
            assert found is not None
            torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-5, msg=key)
    assert conflicts == (len(names) if conflicting else 0), "the case that is meant to be tested"
    for name, parameter in model.named_parameters():
        if not name.startswith(("encoders.", "stand_ins.")):
            torch.testing.assert_close(parameter.grad, alone["task"][name], msg=name)
    assert all(parameter.grad is not None for parameter in method.parameters())
    assert method.diagnostics() == {"conflict": float(conflicting)}
    assert method.diagnostics() == {}


@pytest.mark.parametrize("seed", range(12))
def test_the_weight_is_the_one_that_a_search_finds_where_there_is_conflict(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = [torch.randn(shape, generator=generator) for shape in ((3, 2), (4,))]
    second = [(1 + seed) * torch.randn(values.shape, generator=generator) for values in first]
    one, two = (torch.cat([values.flatten() for values in parts]) for parts in (first, second))
    if float(one @ two) > 0:
        second, two = [-values for values in second], -two
    weight, conflict = pareto_weight(first, second)
    assert bool(conflict)
    assert float(weight) == pytest.approx(search(one, two), abs=1e-4)
    weight, conflict = pareto_weight(first, [-values for values in second])
    assert (float(weight), bool(conflict)) == (0.5, False)


@VARIANTS
def test_gradients_that_vanish_or_cancel_stay_finite(variant: Variant) -> None:
    zero, one = [torch.zeros(3)], [torch.ones(3)]
    for first, second in ((zero, one), (one, zero), (zero, zero)):
        weight, conflict = pareto_weight(first, second)
        assert (float(weight), bool(conflict)) == (0.5, False)
    assert float(pareto_weight(one, [-one[0]])[0]) == 0.5
    method = build(variant=variant)
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.zeros(3)
    method._replace([parameter], one, [-one[0]], torch.tensor(0.5))
    assert torch.equal(parameter.grad, torch.zeros(3))


def test_a_frozen_encoder_is_left_alone() -> None:
    (batch,) = tiny.batches(1, TWO)
    method, model = build(), tiny.classifier(TWO)
    model.encoders["image"].requires_grad_(False)
    tiny.gradients(model, method, batch, Accelerator(cpu=True))
    assert all(parameter.grad is None for parameter in model.encoders["image"].parameters())
    model.encoders["pathology"].requires_grad_(False)
    tiny.gradients(model, method, batch, Accelerator(cpu=True))
    assert all(parameter.grad is None for parameter in model.encoders.parameters() if not parameter.requires_grad)


@NAMES
@VARIANTS
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(
    names: tuple[str, ...], variant: Variant
) -> None:
    tiny.assert_resumes(lambda: build(names, variant=variant), names, Accelerator(cpu=True))
    tiny.assert_disturbs_nothing(
        lambda: build(names, variant=variant), tiny.classifier(names), tiny.batches(1, names)[0]
    )


def test_the_heads_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = build(seed=4)
    torch.manual_seed(2)
    assert tiny.same(tiny.copied(one), tiny.copied(build(seed=4)))
    assert not tiny.same(tiny.copied(one), tiny.copied(build(seed=5)))


def test_reduced_precision_is_computed_in_float32() -> None:
    method, labels = build(), torch.arange(BATCH) % CLASSES
    reduced = {name: torch.randn(BATCH, tiny.WIDTHS[name]).bfloat16() for name in TWO}
    batch = Batch({}, labels, labels, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = method.loss(Output(torch.zeros(BATCH, CLASSES), reduced, {}), batch)
    whole = {name: values.float() for name, values in reduced.items()}
    expected = method.loss(Output(torch.zeros(BATCH, CLASSES), whole, {}), batch)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_catalogue_finds_it_and_its_defaults_are_the_released_codes() -> None:
    assert catalog.load("methods", "mmpareto") is MMPareto
    assert (MMPareto.Options().gamma, MMPareto.Options().variant) == (1.5, "paper")


@pytest.mark.parametrize("gamma", [0.0, -1.0, math.nan])
def test_an_impossible_length_is_refused_at_construction(gamma: float) -> None:
    with pytest.raises(ConfigError, match=r"method\.gamma must be positive"):
        MMPareto.Options(gamma=gamma)


def test_a_single_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more modalities, it got image"):
        build(("image",))
