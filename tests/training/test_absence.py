"""Absent modalities: no trace of them in an answer, every coalition as if asked for, and what training leaves out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from bundle.coalitions import membership
from tests.training.tiny import CLASSES, THREE, TWO, batches, classifier
from training import finishing
from training.absence import left_in
from training.batch import Batch
from training.config import Config
from training.errors import ConfigError
from training.evaluate import Encoded, Evaluation, collect, encode
from training.fit import prepare
from training.gradients import pulls
from training.loading import training_loader
from training.loop import Loop
from training.model import Classifier
from training.preparation import Prepared

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])


def trained_like(names: tuple[str, ...]) -> Classifier:
    """A classifier in evaluation mode whose stand-ins and distances are not 0."""
    model = classifier(names).eval()
    with torch.no_grad():
        for number, vector in enumerate(model.stand_ins.parameters()):
            vector.copy_(torch.randn(vector.shape, generator=torch.Generator().manual_seed(number)))
    for name, shift in model.shifts.items():
        features = torch.randn(30, model.encoders[name].width)  # type: ignore[call-overload]
        shift.fit(features, torch.arange(30) % CLASSES)  # type: ignore[operator]
    return model


@NAMES
@torch.no_grad()
def test_nothing_of_an_absent_modality_is_left(names: tuple[str, ...]) -> None:
    model, (batch, *_) = trained_like(names), batches(2, names)
    for position, name in enumerate(names):
        present = torch.ones(len(batch.labels), len(names), dtype=torch.bool)
        present[:, position] = False
        features = model.encode(batch.inputs)
        found = model.fuse(features, present).logits
        broken = {**features, name: torch.full_like(features[name], torch.nan)}
        assert torch.equal(found, model.fuse(broken, present).logits)
        assert not torch.equal(found, model.fuse(features).logits)


@NAMES
@torch.no_grad()
def test_every_coalition_is_what_the_classifier_says_of_it(names: tuple[str, ...]) -> None:
    model, (batch, *_) = trained_like(names), batches(2, names)
    members = torch.from_numpy(membership(len(names)).copy())
    for mask in members:
        present = mask.expand(len(batch.labels), -1)
        found = model.examine(batch.inputs, present)
        assert torch.equal(found.out.logits, model(batch.inputs, present).logits)
        torch.testing.assert_close(found.coalitions[:, -1], found.out.logits)
        for number, coalition in enumerate(members):
            expected = model(batch.inputs, present & coalition).logits
            torch.testing.assert_close(found.coalitions[:, number], expected)
        for position, name in enumerate(names):
            assert bool((found.shifts[name] > 0).all()) == bool(mask[position])
            assert bool((found.shifts[name] == 0).all()) != bool(mask[position])


@torch.no_grad()
def test_without_a_mask_the_classifier_is_what_it_is_with_everything_present() -> None:
    model, (batch, *_) = trained_like(TWO), batches(2, TWO)
    assert torch.equal(
        model(batch.inputs).logits, model(batch.inputs, torch.ones(len(batch.labels), 2, dtype=torch.bool)).logits
    )


def test_in_training_shares_are_of_every_sample_and_only_the_logits_go_without() -> None:
    model, (batch, *_) = trained_like(THREE), batches(1, THREE)
    for encoder in model.encoders.values():
        encoder.eval()
    present = torch.rand(len(batch.labels), 3, generator=torch.Generator().manual_seed(0)) > 0.4
    asked = model(batch.inputs, present)
    model.training = True
    found = model(batch.inputs, present)
    assert torch.equal(found.logits, asked.logits)
    whole = model(batch.inputs)
    for position, name in enumerate(THREE):
        torch.testing.assert_close(found.shares[name], whole.shares[name])
        assert not torch.equal(found.shares[name], asked.shares[name]) and not bool(present[:, position].all())


def test_modalities_are_left_out_independently_and_as_often_as_asked_for() -> None:
    drawn = np.stack([left_in(3, 0.3, np.random.default_rng(number)) for number in range(4000)])
    assert drawn.mean(axis=0) == pytest.approx(0.7, abs=0.03)
    assert (~drawn).all(axis=1).mean() == pytest.approx(0.3**3, abs=0.01)
    assert np.corrcoef(drawn.T.astype(float)) == pytest.approx(np.eye(3), abs=0.06)


@pytest.fixture
def config(table: Path, configure: Callable[..., Config]) -> Config:
    return configure(table, "--method", "joint", "--modalities", "image", "genomics", "--modality-dropout", "0.4")


@pytest.fixture
def prepared(config: Config) -> Prepared:
    return prepare(config)


def masks(config: Config, prepared: Prepared, epoch: int) -> dict[int, list[bool]]:
    loader, set_epoch = training_loader(config, prepared)
    set_epoch(epoch)
    found: dict[int, list[bool]] = {}
    batch: Batch
    for batch in loader:
        assert batch.present is not None
        found |= dict(zip(batch.samples.tolist(), batch.present.tolist(), strict=True))
    return found


def test_what_is_left_out_depends_on_seed_epoch_and_sample_alone(config: Config, prepared: Prepared) -> None:
    found = masks(config, prepared, 0)
    assert found == masks(replace(config, batch_size=5), prepared, 0)
    assert found != masks(config, prepared, 1) and found != masks(replace(config, seed=1), prepared, 0)
    assert {tuple(row) for row in found.values()} == {(True, True), (True, False), (False, True), (False, False)}


def test_without_dropout_no_mask_is_made(config: Config, prepared: Prepared) -> None:
    loader, _ = training_loader(replace(config, modality_dropout=0.0), prepared)
    assert all(batch.present is None for batch in loader)


@pytest.mark.parametrize("dropout", ["-0.1", "1"])
def test_a_dropout_that_is_no_probability_is_refused(
    dropout: str, table: Path, configure: Callable[..., Config]
) -> None:
    with pytest.raises(ConfigError, match="modality_dropout must be from 0 up to, not including, 1"):
        configure(table, "--modality-dropout", dropout)


def loop_of(config: Config, prepared: Prepared, folder: Path) -> Loop:
    folder.mkdir()
    return Loop(replace(config, epochs=2), prepared, folder)


def test_dropout_trains_stand_ins_and_chooses_the_epoch_by_the_accuracy_to_expect(
    config: Config, prepared: Prepared, tmp_path: Path
) -> None:
    loop = loop_of(config, prepared, tmp_path / "run")
    result = loop.run()
    assert all(vector.abs().max() > 0 for vector in loop.model.stand_ins.parameters())
    scores = [Evaluation(**entry["validation"]).expected(0.4) for entry in loop.history]
    assert loop.progress.best_score == max(scores)
    assert set(result.test.coalition_accuracy) == {"", "image", "genomics", "image+genomics"}
    assert result.test.coalition_accuracy["image+genomics"] == result.test.accuracy


def test_after_training_the_split_s_scores_are_those_of_the_kept_model(
    config: Config, prepared: Prepared, tmp_path: Path
) -> None:
    loop = loop_of(replace(config, modality_dropout=0.0), prepared, tmp_path / "run")
    before = [vector.clone() for vector in loop.model.stand_ins.parameters()]
    result = loop.run()
    assert all(not vector.any() for vector in before)
    assert all(vector.abs().max() > 0 for vector in loop.model.stand_ins.parameters())
    for split, loader in (("val", loop.validation), ("test", loop.test)):
        again = collect(loop.model, loader, loop.accelerator)
        assert np.array_equal(again.coalitions, result.scores[split].coalitions)
        assert all((distances > 0).all() for distances in result.scores[split].shifts.values())
        assert set(result.scores[split].deletions) == {"image", "genomics"}


def test_the_expected_accuracy_is_the_mean_over_what_dropout_leaves() -> None:
    found = {"": 0.1, "a": 0.4, "b": 0.5, "a+b": 0.9}
    evaluation = Evaluation(0.9, 0.9, {"a": 0.4, "b": 0.5}, 10, found)
    assert evaluation.expected(0.2) == pytest.approx(0.04 * 0.1 + 0.16 * 0.4 + 0.16 * 0.5 + 0.64 * 0.9)
    assert evaluation.expected(0.0) == pytest.approx(0.9)


def test_a_stand_in_gets_the_gradient_of_the_samples_that_lack_its_modality_alone() -> None:
    model, (batch, *_) = classifier(TWO).eval(), batches(2, TWO)
    present = torch.ones(len(batch.labels), 2, dtype=torch.bool)
    torch.autograd.backward(nn.functional.cross_entropy(model(batch.inputs, present).logits, batch.labels))
    assert all(vector.grad is not None and not vector.grad.any() for vector in model.stand_ins.parameters())
    present[0, 0] = False
    terms = {"task": nn.functional.cross_entropy(model(batch.inputs, present).logits, batch.labels)}
    pulls(terms, model)
    torch.autograd.backward(terms["task"])
    first, second = (model.stand_ins.vectors[name].grad for name in TWO)
    assert first is not None and first.any() and second is not None and not second.any()


def partial_loss(model: Classifier, encoded: Encoded) -> torch.Tensor:
    """Cross-entropy averaged over all coalitions but the whole one, one after the other."""
    losses = []
    for mask in membership(len(encoded.features))[:-1].tolist():
        used = {
            name: values if there else model.stand_ins.vectors[name].expand(len(values), -1)
            for there, (name, values) in zip(mask, encoded.features.items(), strict=True)
        }
        logits = torch.stack(list(model.fusion(used).values())).sum(dim=0)
        losses.append(nn.functional.cross_entropy(logits, encoded.labels))
    return torch.stack(losses).mean()


@NAMES
@pytest.mark.parametrize("learned", [False, True])
def test_stand_ins_end_where_answers_without_modalities_are_best(names: tuple[str, ...], learned: bool) -> None:
    model, data, accelerator = trained_like(names), batches(6, names), Accelerator(cpu=True)
    encoded = encode(model, data, accelerator)
    others = {name: values.clone() for name, values in model.state_dict().items() if "stand_ins" not in name}
    finishing.settle(model, data, accelerator, learned)
    assert all(torch.equal(values, model.state_dict()[name]) for name, values in others.items() if "shifts" not in name)
    best = float(partial_loss(model, encoded).detach())
    gradients = torch.autograd.grad(partial_loss(model, encoded), list(model.stand_ins.parameters()))
    assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-2
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):  # the problem is convex: nothing near is better
        with torch.no_grad():
            for vector in model.stand_ins.parameters():
                vector.add_(torch.randn(vector.shape, generator=generator), alpha=0.3)
            assert float(partial_loss(model, encoded)) > best - 1e-4


def test_stand_ins_that_run_away_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data, accelerator = trained_like(TWO), batches(2, TWO), Accelerator(cpu=True)
    before = [vector.clone() for vector in model.stand_ins.parameters()]

    def away(self: torch.optim.LBFGS, closure: Callable[[], float]) -> None:
        with torch.no_grad():
            for vector in model.stand_ins.parameters():
                vector.fill_(torch.nan)

    monkeypatch.setattr(torch.optim.LBFGS, "step", away)
    finishing.learn_stand_ins(model, encode(model, data, accelerator), accelerator)
    assert all(torch.equal(*pair) for pair in zip(before, model.stand_ins.parameters(), strict=True))
