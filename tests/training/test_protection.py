"""Classified false pairs, and the variant of InfoBridge that has them, against naive loops."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.training.tiny import CLASSES, THREE, TWO, batches, classifier, setting
from training.batch import Batch
from training.errors import ConfigError
from training.method import Setting
from training.methods.infobridge import InfoBridge
from training.protection import partners, protection_loss


def naive_cross_entropy(logits: Tensor, label: int) -> float:
    values = [math.exp(value) for value in logits.tolist()]
    return -math.log(values[label] / sum(values))


def batch_of(labels: list[int], groups: list[int]) -> Batch:
    return Batch({}, torch.tensor(labels), torch.arange(len(labels)), torch.tensor(groups))


def test_partners_have_the_label_and_another_group() -> None:
    batch = batch_of([0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 3, 4])
    positions, valid = partners(batch, 4, torch.Generator().manual_seed(0))
    assert valid.tolist() == [True] * 5 + [False]
    expected = [{2}, {2}, {0, 1}, {4}, {3}]
    for position, found in zip(positions[:5].tolist(), expected, strict=True):
        assert set(position) == found


@pytest.mark.parametrize("names", [TWO, THREE])
def test_the_loss_is_the_mean_over_false_pairs_drawn_one_by_one(names: tuple[str, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    shares = {name: torch.randn(8, 3, generator=generator) for name in names}
    batch = batch_of([0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 2, 3, 4, 4, 5, 5])
    count = 4
    drawn = torch.Generator().manual_seed(9)
    positions = [partners(batch, count, drawn)[0] for _ in names[1:]]
    losses = []
    for sample in range(6):  # the last two share their group: no partner
        for number in range(count):
            logits = shares[names[0]][sample].clone()
            for name, found in zip(names[1:], positions, strict=True):
                partner = int(found[sample, number])
                assert batch.labels[partner] == batch.labels[sample] and batch.groups[partner] != batch.groups[sample]
                logits += shares[name][partner]
            losses.append(naive_cross_entropy(logits, int(batch.labels[sample])))
    found_loss = protection_loss(shares, batch, count, torch.Generator().manual_seed(9))
    assert found_loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_no_partner_at_all_costs_nothing_and_still_has_a_gradient_of_zero() -> None:
    shares = {name: torch.randn(3, 3, requires_grad=True) for name in TWO}
    loss = protection_loss(shares, batch_of([0, 1, 2], [0, 1, 2]), 5, torch.Generator())
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert all(share.grad is not None and not share.grad.any() for share in shares.values())


def test_the_gradient_reaches_both_sides_of_a_false_pair() -> None:
    shares = {name: torch.randn(4, 3, requires_grad=True) for name in TWO}
    loss = protection_loss(shares, batch_of([0, 0, 1, 1], [0, 1, 2, 3]), 2, torch.Generator().manual_seed(0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(share.grad is not None and bool(share.grad.any(dim=1).all()) for share in shares.values())


@pytest.mark.parametrize("names", [TWO, THREE])
def test_the_variant_adds_each_share_and_the_false_pairs_to_the_paper_s_terms(names: tuple[str, ...]) -> None:
    (batch,) = batches(1, names)
    out = classifier(names)(batch.inputs)
    paper = InfoBridge(setting(names), InfoBridge.Options())
    protected = InfoBridge(setting(names), InfoBridge.Options(variant="protected", share_weight=0.5, protection=2.0))
    before, terms = paper.loss(out, batch), protected.loss(out, batch)
    assert {name: terms[name].item() for name in before} == {name: value.item() for name, value in before.items()}
    for name in names:
        found = functional.cross_entropy(out.shares[name], batch.labels)
        assert terms[f"own_{name}"].item() == pytest.approx(0.5 * found.item(), rel=1e-6)
    # The generator has gone on as the paper's terms took it.
    loss = protection_loss(out.shares, batch, 5, paper.generator)
    assert terms["protection"].item() == pytest.approx(2.0 * loss.item(), rel=1e-6)
    assert set(terms) == {*before, *(f"own_{name}" for name in names), "protection"}


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        InfoBridge.Options(variant="protected", protection=-1.0)
    with pytest.raises(ConfigError, match=r"are of --method\.variant protected"):
        InfoBridge.Options(share_weight=2.0)
    mixing = Setting({name: 4 for name in TWO}, CLASSES, 0, 0.01, additive=False)
    with pytest.raises(ConfigError, match="needs a fusion whose shares"):
        InfoBridge(mixing, InfoBridge.Options(variant="protected"))
    InfoBridge(mixing, InfoBridge.Options())
