"""InfoNCE against a loop over pairs, directions, anchors and partners, and against joint training."""

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from tests.training import tiny
from tests.training.tiny import BATCH, CLASSES, THREE, TWO
from training import catalog
from training.batch import Batch, Output
from training.errors import ConfigError
from training.methods.infonce import InfoNCE
from training.methods.joint import Joint

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])


def build(names: tuple[str, ...] = TWO, seed: int = 0, **options: Any) -> InfoNCE:
    return InfoNCE(tiny.setting(names, seed), InfoNCE.Options(**{"dimensions": 5, **options}))


def make_output(names: tuple[str, ...], seed: int) -> Output:
    """Logits that no feature reaches."""
    generator = torch.Generator().manual_seed(seed)
    features = {name: torch.randn(BATCH, tiny.WIDTHS[name], generator=generator).requires_grad_() for name in names}
    return Output(torch.zeros(BATCH, CLASSES), features, {})


def make_batch(first: int = 0) -> Batch:
    """The samples 4 and 5, of each dozen, are near-duplicates."""
    samples = torch.arange(first, first + BATCH)
    groups = torch.where(samples % BATCH == 5, samples - 1, samples)
    return Batch({}, samples % CLASSES, samples, groups)


def unit(method: InfoNCE, name: str, features: Tensor, sample: int) -> Tensor:
    projection = method.projections[name]
    value = features[sample] @ projection.weight.T + projection.bias  # type: ignore[operator]
    return value / (value**2).sum().sqrt()


Past = list[tuple[int, int, dict[str, Tensor]]]
"""Sample, group and projections of what the memory holds."""


def loop(method: InfoNCE, out: Output, batch: Batch, past: Past) -> tuple[Tensor, Tensor]:
    """The contrastive loss from its equation, without α; and its bound on the information."""
    terms, counts = [], []
    names = list(out.features)
    for pair in combinations(names, 2):
        for one, other in (pair, pair[::-1]):
            for i in range(BATCH):
                anchor = unit(method, one, out.features[one], i)
                shown = [unit(method, other, out.features[other], i)]
                for j in range(BATCH):
                    if batch.groups[i] != batch.groups[j]:
                        shown.append(unit(method, other, out.features[other], j))
                for sample, group, projections in past:
                    if sample != batch.samples[i] and group != batch.groups[i]:
                        shown.append(projections[other])
                exponents = [torch.exp((anchor * partner).sum() / method.options.temperature) for partner in shown]
                terms.append(-torch.log(exponents[0] / torch.stack(exponents).sum()))
                counts.append(math.log(len(shown)))
    loss = torch.stack(terms).mean()
    return loss, torch.tensor(counts).mean() - loss.detach()


@NAMES
@pytest.mark.parametrize("alpha", [0.1, 0.7])
@pytest.mark.parametrize("memory", [0, 30])
def test_the_loss_and_its_gradients_are_those_of_a_loop_from_the_equation(
    names: tuple[str, ...], alpha: float, memory: int
) -> None:
    method = build(names, alpha=alpha, memory=memory)
    past: Past = []
    for step in range(3):
        out, batch = make_output(names, step), make_batch(8 * step)  # some samples come again
        contrast, bound = loop(method, out, batch, past[-memory:] if memory else [])
        inputs = [*out.features.values(), *method.parameters()]
        found = method.loss(out, batch)
        torch.testing.assert_close(found["information"], alpha * contrast)
        torch.testing.assert_close(found["task"], torch.tensor(math.log(CLASSES)))
        expected = torch.autograd.grad(alpha * contrast, inputs)
        for one, two in zip(torch.autograd.grad(found["information"], inputs), expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
        assert method.diagnostics() == {"information_bound": pytest.approx(float(bound), rel=1e-5)}
        assert method.diagnostics() == {}
        past += [
            (int(s), int(g), {name: unit(method, name, out.features[name], i).detach() for name in names})
            for i, (s, g) in enumerate(zip(batch.samples, batch.groups, strict=True))
        ]


@NAMES
def test_with_alpha_0_the_trajectory_is_joint_trainings_bit_for_bit(names: tuple[str, ...]) -> None:
    paths = []
    for make in (
        lambda: Joint(tiny.setting(names), Joint.Options()),
        lambda: build(names, alpha=0.0, memory=20),
        lambda: build(names, alpha=0.1),
    ):
        model, method = tiny.classifier(names), make()
        torch.manual_seed(5)
        optimizer = tiny.optimiser(model, method)
        paths.append(tiny.train(model, method, optimizer, tiny.batches(4, names), Accelerator(cpu=True)))
    joint, without, with_contrast = paths
    assert all(tiny.same(*pair) for pair in zip(joint, without, strict=True))
    assert not tiny.same(joint[-1], with_contrast[-1])


@NAMES
@pytest.mark.parametrize("memory", [0, 30])
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(names: tuple[str, ...], memory: int) -> None:
    tiny.assert_resumes(lambda: build(names, memory=memory), names, Accelerator(cpu=True))
    tiny.assert_disturbs_nothing(lambda: build(names, memory=memory), tiny.classifier(names), tiny.batches(1, names)[0])


def test_the_projections_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = build(seed=4)
    torch.manual_seed(2)
    assert tiny.same(tiny.copied(one), tiny.copied(build(seed=4)))
    assert not tiny.same(tiny.copied(one), tiny.copied(build(seed=5)))


def test_evaluation_remembers_nothing() -> None:
    method = build(memory=20)
    method.loss(make_output(TWO, 0), make_batch())
    method.eval()
    before = tiny.copied(method)
    method.loss(make_output(TWO, 1), make_batch(50))
    assert tiny.same(before, tiny.copied(method))


def test_reduced_precision_is_computed_in_float32() -> None:
    method = build()
    out = make_output(TWO, 0)
    reduced = Output(out.logits, {name: values.bfloat16() for name, values in out.features.items()}, {})
    again = Output(out.logits, {name: values.float() for name, values in reduced.features.items()}, {})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = method.loss(reduced, make_batch())["information"]
    torch.testing.assert_close(found, method.loss(again, make_batch())["information"], rtol=0, atol=0)


def test_the_catalogue_finds_it_and_its_defaults_are_the_usual_ones() -> None:
    assert catalog.load("methods", "infonce") is InfoNCE
    options = InfoNCE.Options()
    assert (options.alpha, options.temperature, options.dimensions, options.memory) == (0.1, 0.07, 128, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("dimensions", 0), ("memory", -1), ("alpha", -0.1), ("alpha", math.nan), ("temperature", 0.0)],
)
def test_impossible_options_are_refused_at_construction(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=f"method.{name}"):
        InfoNCE.Options(**options)


def test_a_single_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more modalities, it got image"):
        build(("image",))
