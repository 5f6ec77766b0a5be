"""InfoBridge's loss, gradients and updates against loops written from the equations, and against joint training."""

import inspect
import math
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any, Literal

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bundle.modalities import Genomics
from training import catalog
from training.batch import Batch, Output
from training.critics import Critic, MultilayerPerceptron
from training.encoders.snn import SelfNormalising
from training.errors import ConfigError
from training.fusion.concat import Concat
from training.memory import draw
from training.method import Method, Setting
from training.methods.infobridge import InfoBridge
from training.methods.joint import Joint
from training.model import Classifier

TWO, THREE = ("audio", "video"), ("audio", "video", "text")
WIDTHS = {"audio": 6, "video": 4, "text": 5}
CLASSES, BATCH, DIMENSIONS = 3, 12, 8
Form = Literal["cosine", "mlp"]
Update = Literal["joint", "alternate"]


def build(names: tuple[str, ...] = TWO, seed: int = 0, **options: Any) -> InfoBridge:
    defaults = {"alpha": 0.3, "negatives_per_pair": 3, "memory": 40, "dimensions": DIMENSIONS}
    setting = Setting({name: WIDTHS[name] for name in names}, CLASSES, seed, 0.01)
    return InfoBridge(setting, InfoBridge.Options(**{**defaults, **options}))


def make_batch(labels: list[int], first: int = 0, groups: list[int] | None = None) -> Batch:
    samples = torch.arange(first, first + len(labels))
    return Batch({}, torch.tensor(labels), samples, samples if groups is None else torch.tensor(groups))


def make_features(names: tuple[str, ...], batch: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(batch, WIDTHS[name], generator=generator).requires_grad_(True) for name in names}


def output(features: dict[str, Tensor]) -> Output:
    """Logits that no feature reaches, so that the features' gradients are the information's alone."""
    return Output(torch.zeros(len(next(iter(features.values()))), CLASSES), features, {})


def perturb(critic: Critic) -> None:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def filled(names: tuple[str, ...], **options: Any) -> tuple[InfoBridge, dict[str, Tensor], Batch]:
    """In evaluation mode, so that a loop may score with the normaliser as it stands, after two batches; an anchor of
    the third class has nobody but a member of its own group.
    """
    method = build(names, **options)
    perturb(method.critic)
    method.train()
    labels = [0, 1] * 6
    for step in range(2):
        still = {name: values.detach() for name, values in make_features(names, BATCH, 50 + step).items()}
        method.objective(still, make_batch(labels, first=100 * step))
    method.diagnostics()
    method.eval()
    batch = make_batch([0, 1, 0, 1, 0, 0, 1, 2, 1, 2, 0, 1], 900, [1, 2, 1, 4, 5, 6, 7, 8, 9, 8, 11, 12])
    features = make_features(names, BATCH, 7)
    method.memory.push(
        {name: method.critic.project(name, values) for name, values in features.items()},
        batch.labels,
        batch.samples,
        batch.groups,
    )
    return method, features, batch


def log_sigmoid(value: Tensor) -> Tensor:
    return torch.log(1 / (1 + torch.exp(-value)))


def replay(method: InfoBridge) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(method.generator.get_state())
    return generator


def loop(
    method: InfoBridge, features: dict[str, Tensor], batch: Batch, anchor: str | None = None
) -> tuple[Tensor, list[tuple[Tensor, Tensor, float, float]]]:
    """-L(h) of Eq. 1 by loops over pairs, directions, anchors and false partners, which are drawn as the method will.

    With `anchor`, only of the directions in which that modality is the anchor, each weighing as a whole pair: what
    that modality's encoder is to feel, since false partners are constants. Also every score with its derivative's
    weight by E_pos[(1 - h) ∇g] - κ E_neg[h ∇g], as (score, h, sign, weight).
    """
    names, kappa, gamma = list(features), method.options.negatives_per_pair, method.margin
    pairs = list(combinations(names, 2))
    critic, memory, generator = method.critic, method.memory, replay(method)
    allowed = memory.candidates(batch.labels, batch.samples, batch.groups, method.options.negatives)
    total = torch.zeros(())
    terms: list[tuple[Tensor, Tensor, float, float]] = []
    for first, second in pairs:
        drawn = [draw(allowed, kappa, generator)[0] for _ in range(2)]
        for direction in range(2):
            if anchor is not None and anchor != (first, second)[direction]:
                continue
            anchors = [i for i in range(len(batch.labels)) if bool(allowed[i].any())]
            share = 1 / len(pairs) / (2 if anchor is None else 1)
            for i in anchors:
                one = critic.project(first, features[first][i : i + 1])
                two = critic.project(second, features[second][i : i + 1])
                context = batch.labels[i : i + 1]
                score = critic.score((first, second), one, two, context)[0]
                total = total - share / len(anchors) * log_sigmoid(score + gamma)
                terms.append((score, torch.sigmoid(score + gamma).detach(), 1.0, share / len(anchors)))
                for j in range(kappa):
                    entry = drawn[direction][i, j : j + 1]
                    if direction == 0:
                        score = critic.score((first, second), one, memory.projections(second)[entry], context)[0]
                    else:
                        score = critic.score((first, second), memory.projections(first)[entry], two, context)[0]
                    # κ times the mean over N0 = κ draws
                    total = total - kappa * share / len(anchors) / kappa * log_sigmoid(-(score + gamma))
                    terms.append((score, torch.sigmoid(score + gamma).detach(), -1.0, share / len(anchors)))
    return total, terms


FORMS = pytest.mark.parametrize("form", ["cosine", "mlp"])
MARGINS = pytest.mark.parametrize("margin", [True, False])
NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])


@FORMS
@MARGINS
@NAMES
@pytest.mark.parametrize("negatives", ["same_context", "any"])
def test_the_loss_is_the_double_loop_over_pairs_directions_anchors_and_false_partners(
    names: tuple[str, ...], margin: bool, form: Form, negatives: str
) -> None:
    method, features, batch = filled(names, critic=form, margin=margin, negatives=negatives)
    expected, _ = loop(method, features, batch)
    found = method.loss(output(features), batch)["information"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    used = method.diagnostics()["anchors_used"]
    assert used == pytest.approx(10 / 12 if negatives == "same_context" else 1.0)


@FORMS
@NAMES
def test_features_get_alpha_times_the_gradient_and_the_critics_scoring_parameters_all_of_it(
    names: tuple[str, ...], form: Form
) -> None:
    method, features, batch = filled(names, critic=form)
    whole, terms = loop(method, features, batch)
    scoring = {key: value for key, value in method.critic.named_parameters() if not key.startswith("projections")}
    inputs = [*features.values(), *scoring.values()]
    expected = torch.autograd.grad(whole, inputs, retain_graph=True)[len(names) :]
    # E_pos[(1 - h) ∇g] - κ E_neg[h ∇g] with ∇g by itself
    analytic = torch.stack([sign * w * ((1 - h) if sign > 0 else h) * score for score, h, sign, w in terms]).sum()
    by_hand = torch.autograd.grad(-analytic, list(scoring.values()))
    by_modality = {
        name: torch.autograd.grad(loop(method, features, batch, anchor=name)[0], features[name])[0] for name in names
    }
    by_modality_analytic = {}
    for name in names:
        each = loop(method, features, batch, anchor=name)[1]
        total = torch.stack([sign * w * ((1 - h) if sign > 0 else h) * score for score, h, sign, w in each]).sum()
        (by_modality_analytic[name],) = torch.autograd.grad(-total, features[name])
    for values in features.values():
        values.grad = None
    torch.autograd.backward(method.loss(output(features), batch)["information"])
    for (key, parameter), one, two in zip(scoring.items(), expected, by_hand, strict=True):
        assert parameter.grad is not None, key
        torch.testing.assert_close(parameter.grad, one, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(parameter.grad, two, rtol=1e-4, atol=1e-6)
    for name, values in features.items():
        assert values.grad is not None
        torch.testing.assert_close(values.grad, 0.3 * by_modality[name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(values.grad, 0.3 * by_modality_analytic[name], rtol=1e-4, atol=1e-6)


@FORMS
@NAMES
def test_with_every_false_pair_drawn_all_gradients_are_those_of_the_objective_with_both_sides_live(
    names: tuple[str, ...], form: Form
) -> None:
    """Four samples of each class and N0 = 3: the draw is all there is, so the loop needs neither memory nor sampler."""
    method = build(names, critic=form, memory=BATCH)
    perturb(method.critic)
    method.eval()
    features, batch = make_features(names, BATCH, 3), make_batch([0, 1, 2] * 4)
    pairs, gamma, critic = list(combinations(names, 2)), math.log(1 / 3), method.critic
    loss = torch.zeros(())
    for first, second in pairs:
        for i in range(BATCH):
            for j in range(BATCH):
                if batch.labels[i] != batch.labels[j]:
                    continue
                one = critic.project(first, features[first][i : i + 1])
                two = critic.project(second, features[second][j : j + 1])
                score = critic.score((first, second), one, two, batch.labels[i : i + 1])[0]
                loss = loss - log_sigmoid(score + gamma if i == j else -(score + gamma)) / BATCH / len(pairs)
    inputs = [*features.values(), *critic.parameters()]
    expected = torch.autograd.grad(loss, inputs)
    found = -method.objective(features, batch)
    torch.testing.assert_close(found, loss)
    for one, two in zip(torch.autograd.grad(found, inputs), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("margin", "ratio"), [(True, 1.0), (False, 5.0)])
def test_independent_features_are_attracted_and_repelled_alike_and_1_to_5_without_the_margin(
    margin: bool, ratio: float
) -> None:
    """Real gradients at g = 0: every score is 0 but its slope in the anchor is the partner, all partners being alike
    among true pairs and alike among false ones.
    """
    method = build(negatives_per_pair=5, margin=margin, alpha=1.0)
    with torch.no_grad():
        for name in TWO:
            projection = method.critic.projections[name]
            assert isinstance(projection, nn.Linear)
            projection.weight.zero_()
            projection.weight[:4, :4] = torch.eye(4)
            projection.bias.zero_()
    method.eval()
    unit = torch.eye(4)

    def batch_of(audio: Tensor, video: Tensor, count: int) -> dict[str, Tensor]:
        padded = torch.cat([audio, torch.zeros(2)])
        return {"audio": padded.repeat(count, 1), "video": video.repeat(count, 1)}

    past = batch_of(unit[2], unit[3], 6)
    method.objective(past, make_batch([0] * 6))  # the memory: audio on axis 2, video on axis 3
    method.options = InfoBridge.Options(negatives_per_pair=5, margin=margin, alpha=1.0, dimensions=DIMENSIONS)
    now = {name: values.requires_grad_(True) for name, values in batch_of(unit[0], unit[1], 1).items()}
    torch.autograd.backward(method.objective(now, make_batch([0], first=50), remember=False))
    for name, true_partner, false_partner in (("audio", 1, 3), ("video", 0, 2)):
        gradient = now[name].grad
        assert gradient is not None
        attraction, repulsion = float(gradient[0, true_partner]), -float(gradient[0, false_partner])
        assert attraction > 0
        assert repulsion / attraction == pytest.approx(ratio, rel=1e-5)


@FORMS
def test_masked_anchors_get_no_gradient_and_a_batch_of_them_costs_nothing(form: Form) -> None:
    method, features, batch = filled(TWO, critic=form)
    torch.autograd.backward(method.loss(output(features), batch)["information"])
    for values in features.values():
        assert values.grad is not None
        assert torch.equal(values.grad[[7, 9]], torch.zeros_like(values.grad[[7, 9]]))
        assert bool((values.grad.abs().sum(dim=1) > 0)[[0, 1, 2, 3]].all())
    lonely = build(critic=form)
    found = lonely.loss(output(make_features(TWO, 3, 0)), make_batch([0, 1, 2]))["information"]
    assert float(found.detach()) == 0.0
    torch.autograd.backward(found)
    assert lonely.diagnostics() == {"anchors_used": 0.0}
    assert lonely.diagnostics() == {}


@FORMS
def test_under_autocast_the_objective_is_that_of_float32_and_finite(form: Form) -> None:
    method, features, batch = filled(TWO, critic=form)
    reduced = {name: values.detach().bfloat16().requires_grad_(True) for name, values in features.items()}
    state = method.generator.get_state()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = method.loss(output(reduced), batch)["information"]
        again = {name: values.float() for name, values in reduced.items()}
    method.generator.set_state(state)
    torch.testing.assert_close(found, method.loss(output(again), batch)["information"])
    assert found.dtype == torch.float32
    torch.autograd.backward(found)
    for values in reduced.values():
        assert values.grad is not None
        assert values.grad.isfinite().all()
    method.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        huge = {name: (1e4 * values.detach()).bfloat16() for name, values in features.items()}
        assert method.objective(huge, batch).isfinite()


def test_figures_without_the_margin_are_still_of_information() -> None:
    """The critic then scores PMI - log κ: the estimate must add it back."""
    method, features, batch = filled(TWO, margin=False)
    allowed = method.memory.candidates(batch.labels, batch.samples, batch.groups, "same_context").any(dim=1)
    one, two = (method.critic.project(name, features[name]) for name in TWO)
    score = method.critic.score(TWO, one, two, batch.labels)
    objective = -method.loss(output(features), batch)["information"]
    figures = method.diagnostics()
    assert figures["information"] == pytest.approx(float(score[allowed].mean().detach()) + math.log(3), rel=1e-5)
    assert figures["information_bound"] == pytest.approx(float(objective.detach()) + math.log(3), rel=1e-5)


def test_figures_weigh_batches_by_their_anchors() -> None:
    method, features, batch = filled(TWO)
    method.loss(output(features), batch)
    whole = method.diagnostics()
    method, features, batch = filled(TWO)
    method.loss(output(features), batch)
    stranger = make_features(TWO, 2, 1)
    method.loss(output(stranger), make_batch([2, 2], first=2000, groups=[8, 8]))  # of the group in memory: no partner
    mixed = method.diagnostics()
    assert mixed["information"] == pytest.approx(whole["information"])
    assert mixed["information_bound"] == pytest.approx(whole["information_bound"])
    assert mixed["anchors_used"] == pytest.approx(whole["anchors_used"] / 2)


# Training real classifiers.

COLUMNS = tuple(f"gene_{number}" for number in range(7))


def classifier(names: tuple[str, ...] = TWO, seed: int = 0, dropout: float = 0.25) -> Classifier:
    torch.manual_seed(seed)
    modality = Genomics(COLUMNS, (0.0,) * 7, (0.0,) * 7, (1.0,) * 7)
    options = SelfNormalising.Options(widths=(16, 8), dropout=dropout)
    encoders: dict[str, Any] = {name: SelfNormalising(modality, options) for name in names}
    return Classifier(encoders, Concat(dict.fromkeys(names, 8), CLASSES), CLASSES)


def real_batches(count: int, names: tuple[str, ...] = TWO) -> list[Batch]:
    generator = torch.Generator().manual_seed(11)
    found = []
    for step in range(count):
        labels = torch.randint(CLASSES, (BATCH,), generator=generator)
        shared = torch.randn(BATCH, 7, generator=generator)
        inputs = {name: shared + labels[:, None] + torch.randn(BATCH, 7, generator=generator) for name in names}
        samples = torch.arange(step * BATCH, (step + 1) * BATCH) % 40
        found.append(Batch(inputs, labels, samples, samples // 2))
    return found


def infobridge(names: tuple[str, ...] = TWO, **options: Any) -> InfoBridge:
    defaults: dict[str, Any] = {"memory": 30, "dimensions": DIMENSIONS}
    return InfoBridge(Setting(dict.fromkeys(names, 8), CLASSES, 0, 0.01), InfoBridge.Options(**{**defaults, **options}))


def optimiser(kind: str, model: nn.Module, method: Method) -> torch.optim.Optimizer:
    groups = [{"params": list(model.parameters())}, {"params": list(method.trained())}]
    groups = [group for group in groups if group["params"]]
    if kind == "sgd":
        return torch.optim.SGD(groups, 0.05, momentum=0.9, weight_decay=1e-4)
    return torch.optim.AdamW(groups, 0.01)


def step(
    model: Classifier, method: Method, optimizer: torch.optim.Optimizer, batch: Batch, accelerator: Accelerator
) -> dict[str, Tensor]:
    model.train()
    method.train()
    terms: dict[str, Tensor] = method(model(batch.inputs), batch)
    optimizer.zero_grad()
    method.backward(terms, accelerator)
    optimizer.step()
    return terms


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def weights(module: nn.Module) -> list[Tensor]:
    """All but those that stand in for absent modalities, of which there are none here."""
    names = [(name, parameter) for name, parameter in module.named_parameters() if "stand_ins" not in name]
    return [parameter.detach().clone() for _, parameter in names]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@FORMS
@pytest.mark.parametrize("update", ["joint", "alternate"])
@NAMES
def test_with_alpha_0_the_trajectory_is_joint_trainings_bit_for_bit(
    names: tuple[str, ...], update: Update, form: Form, kind: str, accelerator: Accelerator
) -> None:
    def run(make: Callable[[], Method]) -> tuple[list[list[Tensor]], list[Tensor], Method]:
        model = classifier(names)
        method = make()
        optimizer = optimiser(kind, model, method)
        torch.manual_seed(5)
        path, losses = [weights(model)], []
        for batch in real_batches(6, names):
            losses.append(step(model, method, optimizer, batch, accelerator)["task"].detach())
            path.append(weights(model))
        return path, losses, method

    setting = Setting(dict.fromkeys(names, 8), CLASSES, 0, 0.01)
    expected, expected_losses, _ = run(lambda: Joint(setting, Joint.Options()))
    initial = weights(infobridge(names, critic=form))
    found, losses, method = run(lambda: infobridge(names, alpha=0.0, update=update, critic=form))
    for before, after in zip(expected, found, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(expected_losses, losses, strict=True))
    assert all(not torch.equal(*pair) for one in pairwise(expected) for pair in zip(*one, strict=True))
    moved = [not torch.equal(one, two) for one, two in zip(initial, weights(method), strict=True)]
    assert any(moved)  # the critic did learn meanwhile
    other, _, _ = run(lambda: infobridge(names, alpha=0.1, update=update, critic=form))
    assert not all(torch.equal(one, two) for one, two in zip(expected[-1], other[-1], strict=True))


@FORMS
@pytest.mark.parametrize("update", ["joint", "alternate"])
def test_building_and_running_it_disturbs_no_global_random_state(form: Form, update: Update) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    method = infobridge(critic=form, update=update)
    assert torch.equal(before, torch.get_rng_state())
    method.loss(output(make_features_8()), make_batch([0, 1] * 6))
    assert torch.equal(before, torch.get_rng_state())
    if torch.cuda.is_available():
        torch.cuda.manual_seed(9)
        states = torch.cuda.get_rng_state()
        infobridge(critic=form, update=update)
        assert torch.equal(states, torch.cuda.get_rng_state())


def make_features_8() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(BATCH, 8, generator=generator).requires_grad_(True) for name in TWO}


def test_building_it_seeds_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seed: int) -> None:
        raise AssertionError("this seeds every device")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    one, two = infobridge(), infobridge()
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), two.parameters(), strict=True))


def test_the_critic_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = build(seed=4)
    torch.manual_seed(2)
    two, three = build(seed=4), build(seed=5)
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(*pair) for pair in zip(one.parameters(), three.parameters(), strict=True))


def test_the_prediction_never_sees_the_label_or_the_context() -> None:
    model = classifier().eval()
    (batch,) = real_batches(1)
    found: Output = model(batch.inputs)
    shuffled = Batch(batch.inputs, batch.labels.flip(0), batch.samples, batch.groups)
    method = infobridge()
    method.loss(found, batch)
    again: Output = model(shuffled.inputs)
    assert torch.equal(found.logits, again.logits)
    for name in TWO:
        assert torch.equal(found.features[name], again.features[name])
        assert torch.equal(found.shares[name], again.shares[name])
    assert list(inspect.signature(model.forward).parameters) == ["inputs", "present"]
    assert not {id(parameter) for parameter in model.parameters()} & {
        id(parameter) for parameter in method.parameters()
    }


@FORMS
def test_alternating_moves_only_the_critic_in_its_step_and_only_the_encoders_in_theirs(
    form: Form, accelerator: Accelerator
) -> None:
    model, method = classifier(dropout=0.0), infobridge(update="alternate", critic=form, alpha=0.3)
    optimizer = optimiser("sgd", model, method)
    assert list(method.trained()) == []
    batches = real_batches(4)
    for batch in batches[:3]:
        step(model, method, optimizer, batch, accelerator)
    encoders, critic = weights(model), weights(method)
    out = model(batches[3].inputs)
    optimizer.zero_grad()
    terms = method(out, batches[3])
    assert all(torch.equal(*pair) for pair in zip(encoders, weights(model), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())
    moved = [not torch.equal(*pair) for pair in zip(critic, weights(method), strict=True)]
    assert sum(moved) > len(moved) / 2
    critic = weights(method)
    method.backward(terms, accelerator)
    assert all(parameter.grad is None for parameter in method.parameters())
    optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(critic, weights(method), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(encoders, weights(model), strict=True))
    assert all(parameter.requires_grad for parameter in method.parameters())


@FORMS
@NAMES
def test_when_alternating_features_get_alpha_times_the_gradient_of_the_critic_as_it_stands_after_its_step(
    names: tuple[str, ...], form: Form
) -> None:
    method, features, batch = filled(names, critic=form, update="alternate")  # evaluation mode: no critic step
    expected, _ = loop(method, features, batch)
    by_modality = {
        name: torch.autograd.grad(loop(method, features, batch, anchor=name)[0], features[name])[0] for name in names
    }
    found = method.loss(output(features), batch)["information"]
    torch.testing.assert_close(found, expected)
    torch.autograd.backward(found)
    for name, values in features.items():
        assert values.grad is not None
        torch.testing.assert_close(values.grad, 0.3 * by_modality[name], rtol=1e-4, atol=1e-6)


def test_each_critic_step_raises_the_objective_on_its_draw() -> None:
    method = build(update="alternate", critic="mlp", critic_steps=30, negatives_per_pair=5, margin=True)
    features = {name: values.detach() for name, values in make_features(TWO, BATCH, 1).items()}
    batch = make_batch([0, 1] * 6)
    before = build(update="alternate", critic="mlp", negatives_per_pair=5)
    first = float(before.loss(output(features), batch)["information"].detach())
    last = float(method.loss(output(features), batch)["information"].detach())
    assert last < first - 0.1


def test_a_joint_update_trains_the_critic_with_the_main_optimiser() -> None:
    method = build()
    assert {id(parameter) for parameter in method.trained()} == {id(p) for p in method.critic.parameters()}
    assert all(parameter.requires_grad for parameter in method.trained())


@pytest.mark.parametrize("update", ["joint", "alternate"])
def test_evaluation_neither_remembers_nor_learns(update: Update) -> None:
    method = build(update=update)
    method.loss(output(make_features(TWO, BATCH, 0)), make_batch([0, 1] * 6))
    method.eval()
    before = {key: value.clone() for key, value in method.state_dict().items() if isinstance(value, Tensor)}
    with torch.no_grad():
        method.loss(output(make_features(TWO, BATCH, 1)), make_batch([0, 1] * 6, first=70))
    for key, value in before.items():
        torch.testing.assert_close(method.state_dict()[key], value, rtol=0, atol=0, equal_nan=True)


@FORMS
@pytest.mark.parametrize("update", ["joint", "alternate"])
def test_a_saved_state_resumes_exactly(form: Form, update: Update, accelerator: Accelerator) -> None:
    batches = real_batches(6)
    model, method = classifier(dropout=0.0), infobridge(update=update, critic=form)
    optimizer = optimiser("sgd", model, method)
    for batch in batches[:3]:
        step(model, method, optimizer, batch, accelerator)
    assert "_extra_state" in method.state_dict()
    saved = {key: _copy(value) for key, value in method.state_dict().items()}
    model_state, optimizer_state = _copy(model.state_dict()), _copy(optimizer.state_dict())
    for batch in batches[3:]:
        step(model, method, optimizer, batch, accelerator)

    other, resumed = classifier(seed=8, dropout=0.0), infobridge(update=update, critic=form)
    resumed.generator.manual_seed(77)
    second = optimiser("sgd", other, resumed)
    other.load_state_dict(model_state)
    resumed.load_state_dict(saved)
    second.load_state_dict(optimizer_state)
    for batch in batches[3:]:
        step(other, resumed, second, batch, accelerator)
    assert all(torch.equal(*pair) for pair in zip(weights(model), weights(other), strict=True))
    assert all(torch.equal(*pair) for pair in zip(weights(method), weights(resumed), strict=True))
    assert torch.equal(method.generator.get_state(), resumed.generator.get_state())


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copy(entry) for key, entry in value.items()}
    return [_copy(entry) for entry in value] if isinstance(value, list) else value


def test_the_catalogue_finds_it_and_its_defaults_are_the_papers() -> None:
    assert catalog.load("methods", "infobridge") is InfoBridge
    options = InfoBridge.Options()
    assert (options.alpha, options.negatives_per_pair, options.memory) == (0.1, 5, 1024)
    assert (options.context, options.negatives, options.margin) == ("semantic", "same_context", True)
    method = InfoBridge(Setting(dict.fromkeys(TWO, 4), CLASSES, 0, 0.01), options)
    assert method.margin == pytest.approx(-1.609, abs=1e-3)
    assert isinstance(build(critic="mlp").critic, MultilayerPerceptron)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("negatives_per_pair", 0),
        ("memory", 0),
        ("dimensions", 0),
        ("critic_steps", 0),
        ("clusters", 0),
        ("alpha", -0.1),
        ("alpha", float("nan")),
        ("temperature", 0.0),
        ("critic_learning_rate", 0.0),
    ],
)
def test_impossible_options_are_refused_at_construction(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match="method"):
        InfoBridge.Options(**options)


def test_a_single_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more modalities, it got audio"):
        build(("audio",))
