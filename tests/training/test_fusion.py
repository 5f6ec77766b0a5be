"""Every fusion against its formula written out, and its shares against Shapley values by enumeration."""

import math
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training import catalog
from training.errors import ConfigError
from training.fusion.film import Film
from training.fusion.gated import Gated
from training.fusion.sum import Sum
from training.model import Classifier

CLASSES, BATCH = 4, 5
TWO, THREE = {"text": 6, "audio": 3}, {"video": 4, "genomics": 6, "audio": 3}
Features = dict[str, Tensor]

WIDTHS = pytest.mark.parametrize("widths", [TWO, THREE], ids=["two", "three"])
FUSIONS = pytest.mark.parametrize("name", catalog.names("fusion"))
COUPLED = pytest.mark.parametrize("name", ["film", "gated"])


def build(name: str, widths: dict[str, int]) -> nn.Module:
    """In float64, with biases as a training leaves them."""
    torch.manual_seed(1)
    fusion: nn.Module = catalog.load("fusion", name)(widths, CLASSES).double()
    for parameter in fusion.parameters():
        nn.init.normal_(parameter)
    return fusion


def make_features(widths: dict[str, int], batch: int = BATCH) -> Features:
    generator = torch.Generator().manual_seed(2)
    return {
        name: torch.randn(batch, width, generator=generator, dtype=torch.float64).requires_grad_(True)
        for name, width in widths.items()
    }


def total(fusion: nn.Module, features: Features) -> Tensor:
    return torch.stack(list(fusion(features).values())).sum(dim=0)


def affine(layer: nn.Module, values: Tensor, rows: slice = slice(None)) -> Tensor:
    """One sample through some rows of a linear layer, entry by entry."""
    assert isinstance(layer, nn.Linear)
    return torch.stack([torch.dot(w, values) + b for w, b in zip(layer.weight[rows], layer.bias[rows], strict=True)])


def naive_sum(fusion: nn.Module, sample: Features) -> Tensor:
    assert isinstance(fusion, Sum)
    return torch.stack([affine(fusion.heads[name], values) for name, values in sample.items()]).sum(dim=0)


def naive_film(fusion: nn.Module, sample: Features) -> Tensor:
    assert isinstance(fusion, Film)
    (_, first), *others = sample.items()
    modulated = []
    for name, values in others:
        width = len(values)
        scale = affine(fusion.modulations[name], first, slice(0, width))
        shift = affine(fusion.modulations[name], first, slice(width, 2 * width))
        modulated += [scale[i] * values[i] + shift[i] for i in range(width)]
    return affine(fusion.head, torch.stack(modulated))


def naive_gated(fusion: nn.Module, sample: Features) -> Tensor:
    assert isinstance(fusion, Gated)
    first, *others = sample.values()
    gate, values = affine(fusion.gate, first), affine(fusion.projection, torch.cat(others))
    return affine(fusion.head, torch.stack([v / (1 + torch.exp(-g)) for g, v in zip(gate, values, strict=True)]))


NAIVE: dict[str, Callable[[nn.Module, Features], Tensor]] = {
    "sum": naive_sum,
    "film": naive_film,
    "gated": naive_gated,
}


def naive_shares(name: str, fusion: nn.Module, sample: Features) -> Features:
    """What each modality adds to the formula when it arrives, over all orders; the empty sum is split evenly."""
    names = list(sample)
    absent = {key: torch.zeros_like(values) for key, values in sample.items()}
    shares = {key: NAIVE[name](fusion, absent) / len(names) for key in names}
    for order in permutations(names):
        present = dict(absent)
        for key in order:
            before = NAIVE[name](fusion, present)
            present[key] = sample[key]
            shares[key] = shares[key] + (NAIVE[name](fusion, present) - before) / math.factorial(len(names))
    return shares


def row(features: Features, index: int) -> Features:
    return {name: values[index] for name, values in features.items()}


@WIDTHS
@pytest.mark.parametrize("name", NAIVE)
def test_the_logits_are_the_fusions_formula(name: str, widths: dict[str, int]) -> None:
    fusion, features = build(name, widths), make_features(widths)
    expected = torch.stack([NAIVE[name](fusion, row(features, index)) for index in range(BATCH)])
    torch.testing.assert_close(total(fusion, features), expected, rtol=1e-12, atol=1e-12)


@WIDTHS
@COUPLED
def test_shares_are_shapley_values(name: str, widths: dict[str, int]) -> None:
    fusion, features = build(name, widths), make_features(widths)
    found = fusion(features)
    assert list(found) == list(widths)
    for index in range(BATCH):
        for key, share in naive_shares(name, fusion, row(features, index)).items():
            torch.testing.assert_close(found[key][index], share, rtol=1e-10, atol=1e-10)


@WIDTHS
@COUPLED
def test_a_modality_without_features_gets_its_part_of_the_empty_answer_alone(name: str, widths: dict[str, int]) -> None:
    fusion, features = build(name, widths), make_features(widths)
    empty = total(fusion, {key: torch.zeros_like(values) for key, values in features.items()}) / len(widths)
    for key in widths:
        found = fusion({**features, key: torch.zeros_like(features[key])})
        torch.testing.assert_close(found[key], empty)


@WIDTHS
@FUSIONS
def test_the_models_logits_are_exactly_the_sum_of_the_shares(name: str, widths: dict[str, int]) -> None:
    fusion, features = build(name, widths).float(), {k: v.float() for k, v in make_features(widths).items()}
    encoders: dict[str, Any] = {key: nn.Identity() for key in widths}
    for key, width in widths.items():
        encoders[key].width = width
    out = Classifier(encoders, fusion, CLASSES)(features)
    added = torch.zeros(BATCH, CLASSES)
    for share in out.shares.values():
        assert share.shape == (BATCH, CLASSES) and share.dtype == torch.float32
        added = added + share
    assert torch.equal(out.logits, added)
    assert list(out.shares) == list(widths)


@WIDTHS
@FUSIONS
def test_every_parameter_and_feature_gets_the_gradient_of_the_logits(name: str, widths: dict[str, int]) -> None:
    fusion, features = build(name, widths), make_features(widths)
    weights = torch.randn(BATCH, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    inputs = [*features.values(), *fusion.parameters()]
    found = torch.autograd.grad((total(fusion, features) * weights).sum(), inputs)
    assert all(bool(gradient.abs().sum() > 0) for gradient in found)
    if name in NAIVE:
        logits = torch.stack([NAIVE[name](fusion, row(features, index)) for index in range(BATCH)])
        for one, two in zip(found, torch.autograd.grad((logits * weights).sum(), inputs), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@WIDTHS
@FUSIONS
def test_first_weights_are_xaviers_and_biases_0(name: str, widths: dict[str, int]) -> None:
    large = {key: 40 * width for key, width in widths.items()}
    torch.manual_seed(0)
    for module in catalog.load("fusion", name)(large, 60).modules():
        if isinstance(module, nn.Linear):
            assert torch.equal(module.bias, torch.zeros_like(module.bias))
            expected = math.sqrt(2 / sum(module.weight.shape))
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.05)


@WIDTHS
@FUSIONS
def test_a_sample_is_answered_alike_alone_and_in_a_batch(name: str, widths: dict[str, int]) -> None:
    fusion, features = build(name, widths), make_features(widths)
    together = fusion(features)
    for index in range(BATCH):
        alone = fusion({key: values[index : index + 1] for key, values in features.items()})
        for key, share in alone.items():
            torch.testing.assert_close(share[0], together[key][index])


@COUPLED
def test_a_single_modality_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} needs two or more modalities, it got text"):
        catalog.load("fusion", name)({"text": 3}, CLASSES)
