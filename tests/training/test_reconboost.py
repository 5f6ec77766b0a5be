"""ReconBoost's stages, losses and what moves in them, against loops from its equations."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tests.training import tiny
from tests.training.conftest import Fit
from tests.training.tiny import BATCH, CLASSES, THREE, TWO
from training import catalog
from training.batch import Batch, Output
from training.config import Config
from training.errors import ConfigError
from training.fit import prepare
from training.loop import Loop
from training.methods.reconboost import ReconBoost
from training.saving import Progress

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])
VARIANTS = pytest.mark.parametrize("variant", ["paper", "official-code"])
Variant = Literal["paper", "official-code"]


def build(names: tuple[str, ...] = TWO, **options: Any) -> ReconBoost:
    return ReconBoost(tiny.setting(names), ReconBoost.Options(**options))


def at(epoch: int, names: tuple[str, ...], **options: Any) -> ReconBoost:
    """With stages of one epoch and one, so that an even epoch starts stage epoch / 2."""
    method = build(names, **{"alternation_epochs": 1, "rectification_epochs": 1, **options})
    method.epoch_start(tiny.run(epoch, tiny.classifier(names), tiny.batches(1, names)))
    return method


def output(names: tuple[str, ...], seed: int) -> tuple[Output, Batch]:
    generator = torch.Generator().manual_seed(seed)
    shares = {name: (2 * torch.randn(BATCH, CLASSES, generator=generator)).requires_grad_() for name in names}
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    return Output(torch.stack(list(shares.values())).sum(dim=0), {}, shares), Batch({}, labels, labels, labels)


def probabilities(logits: Tensor) -> list[Tensor]:
    """One sample's softmax, class by class."""
    exponents = [torch.exp(value) for value in logits]
    return [exponent / torch.stack(exponents).sum() for exponent in exponents]


def naive(names: tuple[str, ...], stage: int, variant: str, out: Output, labels: list[int]) -> Tensor:
    """The first phase's loss with the authors' weights, sample by sample."""
    w1, w2, alpha = 5.0, 1.0, 0.5
    k = stage % len(names)
    total = torch.zeros(())
    for i, label in enumerate(labels):
        p = probabilities(out.shares[names[k]][i])
        known = list(range(len(names))) if variant == "paper" else list(range(min(stage + 1, len(names))))
        others = [out.shares[names[j]][i].detach() for j in known if j != k]
        q = probabilities(torch.stack(others).sum(dim=0)) if others and stage > 0 else None
        if variant == "official-code":
            total = total - (w1 - w2 * (q[label] if q is not None else 1.0)) * torch.log(p[label]) / CLASSES
        else:
            total = total - torch.log(p[label])
            if q is not None:
                total = total - w2 / w1 * sum(q[c] * torch.log(q[c] / p[c]) for c in range(CLASSES))
        if stage > 0:
            before = probabilities(out.shares[names[(k - 1) % len(names)]][i].detach())
            total = total + alpha * sum((p[c] - before[c]) ** 2 for c in range(CLASSES)) / CLASSES
    return total / BATCH


@NAMES
@VARIANTS
@pytest.mark.parametrize("stage", [0, 1, 2, 3, 4])
def test_the_loss_and_its_gradient_are_those_of_loops_and_reach_one_modality(
    names: tuple[str, ...], variant: Variant, stage: int
) -> None:
    out, batch = output(names, stage)
    method = at(2 * stage, names, variant=variant)
    terms = method.loss(out, batch)
    kinds = {"task", *(["reconcilement"] if variant == "paper" else []), "memory"} if stage else {"task"}
    assert set(terms) == kinds
    expected = naive(names, stage, variant, out, batch.labels.tolist())
    torch.testing.assert_close(torch.stack(list(terms.values())).sum(), expected)
    shares = list(out.shares.values())
    found = torch.autograd.grad(torch.stack(list(terms.values())).sum(), shares, allow_unused=True)
    (wanted,) = torch.autograd.grad(expected, [shares[stage % len(names)]])
    for number, gradient in enumerate(found):
        if number == stage % len(names):
            assert gradient is not None and gradient.any()
            torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
        else:
            assert gradient is None


@NAMES
def test_the_gradient_is_the_residual_that_boosting_fits(names: tuple[str, ...]) -> None:
    out, batch = output(names, 1)
    terms = at(2, names, others_weight=2.0, memory=0.0).loss(out, batch)
    share = out.shares[names[1]]
    (found,) = torch.autograd.grad(terms["task"] + terms["reconcilement"], [share])
    others = [out.shares[name].detach() for name in names if name != names[1]]
    for i, label in enumerate(batch.labels.tolist()):
        p, q = probabilities(share[i].detach()), probabilities(torch.stack(others).sum(dim=0)[i])
        for c in range(CLASSES):
            residual = 0.6 * p[c] + 0.4 * q[c] - float(c == label)
            assert float(found[i, c]) == pytest.approx(float(residual) / BATCH, abs=1e-6)


@NAMES
@VARIANTS
def test_memory_consolidation_has_a_gradient_of_its_own(names: tuple[str, ...], variant: Variant) -> None:
    out, batch = output(names, 5)
    share, before = out.shares[names[1]], out.shares[names[0]]
    memory = at(2, names, variant=variant).loss(out, batch)["memory"]
    (found,) = torch.autograd.grad(memory, [share])
    p, target = share.detach().softmax(1), before.detach().softmax(1)
    slope = 2 * 0.5 * (p - target) / (BATCH * CLASSES)
    expected = p * (slope - (p * slope).sum(dim=1, keepdim=True))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert float(found.abs().max()) > 1e-4
    assert float(at(2, names, variant=variant, memory=0.0).loss(out, batch)["memory"].detach()) == 0.0


@NAMES
@VARIANTS
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_rectification_is_the_cross_entropy_of_the_ensemble(
    names: tuple[str, ...], variant: Variant, stage: int
) -> None:
    out, batch = output(names, stage)
    terms = at(2 * stage + 1, names, variant=variant).loss(out, batch)
    assert list(terms) == ["task"]
    joined = names if variant == "paper" else names[: stage + 1]
    expected = torch.zeros(())
    for i, label in enumerate(batch.labels.tolist()):
        expected = expected - torch.log(probabilities(sum(out.shares[name][i] for name in joined))[label]) / BATCH  # type: ignore[arg-type]
    torch.testing.assert_close(terms["task"], expected)
    found = torch.autograd.grad(terms["task"], list(out.shares.values()), allow_unused=True)
    assert [gradient is not None for gradient in found] == [name in joined for name in names]


@NAMES
@VARIANTS
@pytest.mark.parametrize(("first", "second"), [(4, 4), (1, 1), (1, 2), (2, 0)])
def test_modalities_take_turns(names: tuple[str, ...], variant: Variant, first: int, second: int) -> None:
    expected: list[tuple[int, bool, list[str]]] = []
    for stage in range(7):
        expected += [(stage, False, [names[stage % len(names)]])] * first
        expected += [(stage, True, list(names if variant == "paper" else names[: stage + 1]))] * second
    method = build(names, alternation_epochs=first, rectification_epochs=second, variant=variant)
    model, found = tiny.classifier(names), tiny.batches(1, names)
    optimizer = tiny.optimiser(model, method)
    for epoch, (stage, rectifies, trained) in enumerate(expected):
        optimizer.state[next(model.parameters())] = {"momentum_buffer": torch.zeros(1)}
        tiny.start(epoch, model, method, optimizer, found)
        assert (method.stage, method.rectifies, method.trained_now) == (stage, rectifies, trained)
        assert [encoder.training for encoder in model.encoders.values()] == [name in trained for name in names]
        begins = epoch == 0 or expected[epoch - 1][:2] != (stage, rectifies)
        assert (not optimizer.state) == begins, "an optimiser that remembers nothing as a phase begins, and only then"
        learner = -1.0 if rectifies else float(stage % len(names))
        assert method.diagnostics() == {"stage": float(stage), "learner": learner}


@NAMES
@VARIANTS
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_only_the_learners_in_training_move(
    names: tuple[str, ...],
    variant: Variant,
    optimiser: str,
    configure: Callable[..., Config],
    table: Path,
    tmp_path: Path,
) -> None:
    modalities = ("image", "audio", "genomics")[: len(names)]
    phases = ("--method.alternation-epochs", "1", "--method.rectification-epochs", "1", "--method.variant", variant)
    options = ("--weight-decay", "0.1", "--epochs", "8", "--optimiser", optimiser, "--learning-rate", "0.01")
    config = configure(table, "--method", "reconboost", "--modalities", *modalities, *phases, *options)
    loop = Loop(config, prepare(config), tmp_path / "run")
    heads = loop.model.fusion.heads
    assert isinstance(heads, nn.ModuleDict)

    def state(name: str) -> dict[str, Tensor]:
        parts = nn.ModuleDict({"encoder": loop.model.encoders[name], "head": heads[name]})
        return {key: value.clone() for key, value in parts.state_dict().items()}

    for epoch in range(8):
        loop.progress = Progress(epoch)
        before = {name: state(name) for name in modalities}
        loop._epoch(lambda: None)
        stage = epoch // 2
        joined = list(modalities) if variant == "paper" else list(modalities[: stage + 1])
        trained = joined if epoch % 2 else [modalities[stage % len(modalities)]]
        for name in modalities:
            moved = {key for key, value in state(name).items() if not torch.equal(value, before[name][key])}
            if name in trained:
                assert moved == {key for key in before[name] if ".pixels." not in key}, (epoch, name)
            else:
                assert not moved, (epoch, name)
        parts = [*(loop.model.encoders[name] for name in trained), *(heads[name] for name in trained)]
        owned = {id(parameter) for part in parts for parameter in part.parameters()}
        assert {id(parameter) for parameter in loop.optimizer.state} == owned, "moments of this phase alone"
    assert any("running_mean" in key for key in before["image"])


@NAMES
@VARIANTS
def test_a_step_of_the_first_phase_is_that_of_one_encoder_by_itself(names: tuple[str, ...], variant: Variant) -> None:
    (batch,) = tiny.batches(1, names)
    model, other = tiny.classifier(names), tiny.classifier(names)
    method = build(names, alternation_epochs=1, rectification_epochs=1, variant=variant)
    optimizer = tiny.optimiser(model, method)
    for parameter in model.parameters():  # the moments of a phase before
        optimizer.state[parameter] = {"momentum_buffer": torch.ones_like(parameter)}
    tiny.start(2, model, method, optimizer, [batch])
    tiny.train(model, method, optimizer, [batch], Accelerator(cpu=True))

    name = names[1]
    heads = other.fusion.heads
    assert isinstance(heads, nn.ModuleDict)
    other.eval()
    shares = {key: heads[key](other.encoders[key](batch.inputs[key])).detach() for key in names}
    other.train()
    shares[name] = heads[name](other.encoders[name](batch.inputs[name]))
    loss = naive(names, 1, variant, Output(shares[name], {}, shares), batch.labels.tolist())
    own = [*other.encoders[name].parameters(), *heads[name].parameters()]
    with torch.no_grad():
        for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
            parameter.sub_(0.05 * (gradient + 1e-4 * parameter))
    for one, two in zip(tiny.copied(model), tiny.copied(other), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@NAMES
@VARIANTS
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(
    names: tuple[str, ...], variant: Variant
) -> None:
    for first in (1, 2):
        tiny.assert_resumes(
            lambda first=first: build(names, alternation_epochs=first, rectification_epochs=1, variant=variant),  # type: ignore[misc]
            names,
            Accelerator(cpu=True),
        )
    tiny.assert_disturbs_nothing(
        lambda: build(names, variant=variant), tiny.classifier(names), tiny.batches(1, names)[0]
    )


def test_the_whole_program_goes_through_the_stages(fit: Fit, table: Path, tmp_path: Path) -> None:
    options = ("--method.alternation-epochs", "1", "--method.rectification-epochs", "1", "--epochs", "5")
    assert fit(table, "--method", "reconboost", "--modalities", "image", "text", "genomics", *options) == 0
    history = json.loads((tmp_path / "run" / "history.json").read_text("utf-8"))
    assert [(entry["stage"], entry["learner"]) for entry in history] == [(0, 0), (0, -1), (1, 1), (1, -1), (2, 2)]
    first, later = {"task"}, {"task", "reconcilement", "memory"}
    assert [set(entry["loss"]) for entry in history] == [first, first, later, first, later]
    assert history[2]["loss"]["reconcilement"] < 0 < history[2]["loss"]["memory"]


def test_reduced_precision_is_computed_in_float32() -> None:
    out, batch = output(TWO, 2)
    reduced = {name: share.detach().bfloat16() for name, share in out.shares.items()}
    whole = {name: share.float() for name, share in reduced.items()}
    for epoch in (2, 3):
        found = at(epoch, TWO).loss(Output(out.logits, {}, reduced), batch)
        expected = at(epoch, TWO).loss(Output(out.logits, {}, whole), batch)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("fusion", ["film", "gated"])
def test_a_fusion_that_mixes_modalities_in_their_shares_is_refused(
    fusion: str, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(table, "--method", "reconboost", "--modalities", "image", "text", "--fusion", fusion) == 2
    assert "reconboost needs a fusion whose shares are each modality's own: concat or sum" in capsys.readouterr().err


def test_the_catalogue_finds_it_and_its_defaults_are_the_released_codes() -> None:
    assert catalog.load("methods", "reconboost") is ReconBoost
    options = ReconBoost.Options()
    assert (options.label_weight, options.others_weight, options.memory) == (5.0, 1.0, 0.5)
    assert (options.alternation_epochs, options.rectification_epochs, options.variant) == (4, 4, "paper")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"others_weight": 5.0}, r"method\.others_weight must not be negative and be less than label_weight"),
        ({"others_weight": -1.0}, r"method\.others_weight must not be negative"),
        ({"label_weight": math.nan}, r"method\.others_weight must not be negative"),
        ({"label_weight": math.inf}, r"method\.others_weight must not be negative"),
        ({"memory": -0.1}, r"method\.memory must not be negative"),
        ({"memory": math.nan}, r"method\.memory must not be negative"),
        ({"alternation_epochs": 0}, r"method\.alternation_epochs must be at least 1"),
        ({"rectification_epochs": -1}, r"method\.rectification_epochs must be at least 0"),
    ],
)
def test_impossible_options_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReconBoost.Options(**options)


def test_a_single_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more modalities, it got image"):
        build(("image",))
