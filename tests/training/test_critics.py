"""Critics score pairs in nats: their shapes, their start, and the cosine critic's normaliser."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.critics import Cosine, Critic, MultilayerPerceptron, Pair

WIDTHS = {"audio": 6, "video": 9}
PAIR: Pair = ("audio", "video")
CONTEXTS, DIMENSIONS = 4, 8

Build = Callable[[], Critic]


def cosine() -> Cosine:
    torch.manual_seed(0)
    return Cosine(WIDTHS, [PAIR], CONTEXTS, DIMENSIONS)


def perceptron() -> MultilayerPerceptron:
    torch.manual_seed(0)
    return MultilayerPerceptron(WIDTHS, [PAIR], CONTEXTS, DIMENSIONS, hidden=16)


def features(batch: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(batch, WIDTHS["audio"], generator=generator)
    video = torch.randn(batch, WIDTHS["video"], generator=generator)
    return audio, video, torch.randint(CONTEXTS, (batch,), generator=generator)


def projected(critic: Critic, batch: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    audio, video, context = features(batch, seed)
    return critic.project("audio", audio), critic.project("video", video), context


def false_pairs(critic: Critic, batch: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Anchors with five partners each."""
    one, _, context = projected(critic, batch, seed)
    others = torch.stack([projected(critic, batch, seed + 1000 + k)[1] for k in range(5)], dim=1)
    return one, others, context


def perturb(critic: Critic) -> None:
    """Leave the initial values, some of which are 0."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


def weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


@pytest.mark.parametrize("build", [cosine, perceptron])
def test_scores_of_many_pairs_at_once_are_those_of_each_pair_alone(build: Build) -> None:
    critic = build()
    perturb(critic)
    one, others, context = false_pairs(critic, 6)
    critic.observe(PAIR, one, others, context, torch.ones(6, dtype=torch.bool))
    at_once = critic.score(PAIR, one, others, context)
    assert at_once.shape == (6, 5)
    for i in range(6):
        for j in range(5):
            alone = critic.score(PAIR, one[i : i + 1], others[i : i + 1, j], context[i : i + 1])
            torch.testing.assert_close(at_once[i, j], alone[0])
    mirrored = critic.score(PAIR, one[:, None].expand(6, 5, DIMENSIONS), others, context)
    torch.testing.assert_close(mirrored, at_once)
    many_first = critic.score(PAIR, others, others[:, 0], context)
    assert many_first.shape == (6, 5)


@pytest.mark.parametrize("build", [cosine, perceptron])
def test_every_parameter_of_a_critic_learns(build: Build) -> None:
    critic = build()
    perturb(critic)
    one, two, _ = projected(critic, 32)
    critic.score(PAIR, one, two, torch.arange(32) % CONTEXTS).square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_pairs_whose_names_run_together_keep_their_own_parameters() -> None:
    widths = {"a": 3, "b_c": 3, "a_b": 3, "c": 3}
    critic = Cosine(widths, [("a", "b_c"), ("a_b", "c")], CONTEXTS, DIMENSIONS)
    assert len(critic.context_scale) == 2
    two = MultilayerPerceptron(widths, [("a", "b_c"), ("a_b", "c")], CONTEXTS, DIMENSIONS)
    assert len(two.readout) == 2


def test_the_cosine_score_is_the_formula_of_its_docstring() -> None:
    critic = cosine()
    perturb(critic)
    one, two, context = projected(critic, 5)
    scale = weight(critic.context_scale["audio+video"])
    audio, video, _ = features(5)
    for i in range(5):
        first = critic.projections["audio"](audio[i])
        second = critic.projections["video"](video[i])
        first, second = first / first.norm(), second / second.norm()
        expected = sum(
            (1 + scale[context[i], k]) * first[k] * second[k] / critic.temperature for k in range(DIMENSIONS)
        )
        found = critic.score(PAIR, one[i : i + 1], two[i : i + 1], context[i : i + 1])[0]
        torch.testing.assert_close(found, expected)


def test_contexts_start_identical_in_the_cosine_critic_and_an_unseen_one_has_no_shift() -> None:
    critic = cosine()
    one, two, _ = projected(critic, 10)
    assert critic.normaliser(PAIR).isnan().all()
    by_context = [critic.score(PAIR, one, two, torch.full((10,), value)) for value in range(CONTEXTS)]
    for found in by_context:
        assert torch.equal(found, by_context[0])
        torch.testing.assert_close(found, (one * two).sum(dim=1) / critic.temperature)


@pytest.mark.parametrize("unequal", [False, True])
def test_after_many_false_pairs_their_exp_g_is_1_on_average_in_every_context(unequal: bool) -> None:
    torch.manual_seed(0)
    critic = Cosine(WIDTHS, [PAIR], CONTEXTS, DIMENSIONS, temperature=0.3)
    if unequal:
        perturb(critic)
    with torch.no_grad():
        for step in range(60):
            one, others, context = false_pairs(critic, 512, seed=step)
            critic.observe(PAIR, one, others, context, torch.ones(512, dtype=torch.bool))
        one, others, context = false_pairs(critic, 20_000, seed=99)
        scores = critic.score(PAIR, one, others, context)
    shifts = critic.normaliser(PAIR)
    assert shifts.isfinite().all()
    assert not unequal or float(shifts.std()) > 0.05
    for value in range(CONTEXTS):
        assert float(scores[context == value].exp().mean()) == pytest.approx(1.0, abs=0.05)


def test_the_normaliser_is_the_moving_average_a_loop_computes() -> None:
    critic = cosine()
    perturb(critic)
    expected: dict[int, float] = {}
    with torch.no_grad():
        for step in range(6):
            one, others, context = false_pairs(critic, 5, seed=step)
            valid = torch.tensor([True, True, True, True, step % 2 == 0])
            found: dict[int, list[float]] = {}
            for i in range(5):
                if not valid[i]:
                    continue
                for j in range(5):
                    weights = 1 + critic.context_scale["audio+video"](context[i])
                    raw = float((weights * one[i] * others[i, j]).sum()) / critic.temperature
                    found.setdefault(int(context[i]), []).append(math.exp(raw))
            for value, values in found.items():
                mean = sum(values) / len(values)
                before = expected.get(value)
                expected[value] = mean if before is None else critic.momentum * before + (1 - critic.momentum) * mean
            critic.observe(PAIR, one, others, context, valid)
            for value in range(CONTEXTS):
                shift = float(critic.normaliser(PAIR)[value])
                assert math.isnan(shift) if value not in expected else shift == pytest.approx(math.log(expected[value]))


@pytest.mark.parametrize("build", [cosine, perceptron])
def test_projecting_all_modalities_is_projecting_each(build: Build) -> None:
    critic = build()
    features = {name: torch.randn(6, width) for name, width in WIDTHS.items()}
    for name, found in critic.project_all(features).items():
        torch.testing.assert_close(found, critic.project(name, features[name]))


@pytest.mark.parametrize("build", [cosine, perceptron])
@pytest.mark.parametrize("learn", [True, False])
def test_scoring_a_batch_is_observing_its_false_pairs_of_both_directions_and_then_scoring_each(
    build: Build, learn: bool
) -> None:
    critic, other = build(), build()
    one, others, context = false_pairs(critic, 6)
    directions, valid = [(one, others), (others.flip(0), others[:, 0])], torch.arange(6) != 2
    with torch.no_grad():
        for each in (critic, other):
            perturb(each)
            each.observe(PAIR, one, others, context, valid)
        true = one, one.flip(0)
        positive, found = critic.score_batch(PAIR, true, directions, context, valid if learn else None)
        for sides in directions if learn else []:
            other.observe(PAIR, *sides, context, valid)
        expected = torch.cat([other.score(PAIR, *sides, context) for sides in directions])
        torch.testing.assert_close(positive, other.score(PAIR, *true, context))
    torch.testing.assert_close(found, expected)
    for buffer, same in zip(critic.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(buffer, same, equal_nan=True)


def test_contexts_whose_scores_lie_far_apart_do_not_lose_their_normaliser() -> None:
    critic = Cosine({"audio": 2, "video": 2}, [PAIR], 2, 2, temperature=0.005)
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    partners = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]])  # raw scores of 200 and -200
    critic.observe(PAIR, same, partners, torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(critic.normaliser(PAIR), torch.tensor([200.0, -200.0]))


def test_the_normaliser_is_a_constant_to_the_gradient_and_is_saved_with_the_weights() -> None:
    critic = cosine()
    one, others, context = false_pairs(critic, 12)
    raw = torch.autograd.grad(critic.score(PAIR, one, others, context).sum(), one, retain_graph=True)[0]
    critic.observe(PAIR, one, others, context, torch.ones(12, dtype=torch.bool))
    assert not critic.normaliser(PAIR).requires_grad
    shifted = torch.autograd.grad(critic.score(PAIR, one, others, context).sum(), one, retain_graph=True)[0]
    torch.testing.assert_close(shifted, raw)
    again = cosine()
    again.load_state_dict(critic.state_dict())
    assert torch.equal(again.normaliser(PAIR), critic.normaliser(PAIR))


def test_an_observation_of_nobody_changes_nothing() -> None:
    critic = cosine()
    one, others, context = false_pairs(critic, 12)
    critic.observe(PAIR, one, others, context, torch.ones(12, dtype=torch.bool))
    before = critic.normaliser(PAIR).clone()
    critic.observe(PAIR, one, others, context, torch.zeros(12, dtype=torch.bool))
    torch.testing.assert_close(critic.normaliser(PAIR), before, equal_nan=True)


def test_the_perceptron_has_no_bias_at_its_output() -> None:
    critic = perceptron()
    readout = critic.readout["audio+video"]
    assert readout.bias is None
    with torch.no_grad():
        weight(readout).zero_()
    one, two, context = projected(critic, 10)
    assert torch.equal(critic.score(PAIR, one, two, context), torch.zeros(10))


def test_the_perceptron_can_be_the_exact_ratio_of_gaussians_that_differ_by_context() -> None:
    rho = torch.tensor([0.1, 0.4, 0.6, 0.8])
    critic = MultilayerPerceptron({"audio": 2, "video": 2}, [PAIR], CONTEXTS, 2, hidden=4)
    generator = torch.Generator().manual_seed(0)
    one, two = torch.randn(50, 2, generator=generator), torch.randn(50, 2, generator=generator)
    context = torch.randint(CONTEXTS, (50,), generator=generator)
    with torch.no_grad():
        for name in PAIR:
            weight(critic.projections[name]).copy_(torch.eye(2))
        for layer in (critic.projections["audio"].bias, critic.projections["video"].bias):
            assert isinstance(layer, Tensor)
            layer.zero_()
        weight(critic.readout["audio+video"]).zero_()
        square = -(rho**2) / (1 - rho**2) / 2
        cross = rho / (1 - rho**2)
        empty = torch.zeros_like(rho)
        rows = torch.stack([empty, empty, empty, empty, cross, cross, square, square, square, square], dim=1)
        weight(critic.products["audio+video"]).copy_(rows)
        found = critic.score(PAIR, critic.project("audio", one), critic.project("video", two), context)
        r = rho[context]
        expected = ((r * (one * two).sum(dim=1)) - r**2 / 2 * (one**2 + two**2).sum(dim=1)) / (1 - r**2)
    torch.testing.assert_close(found, expected)  # all but the constant of each context, which the layers add
