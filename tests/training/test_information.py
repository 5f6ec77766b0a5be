"""The paper's equations, each against a loop or an exact sum written from the equation."""

import math

import pytest
import torch
from torch import Tensor

from training.information import (
    gaussian_information,
    information_ceiling,
    information_estimate,
    lower_bound,
    nce_objective,
    pressures,
    prior_logit,
    scale_gradient,
)

KAPPA = 5


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def scores(batch: int = 7, negatives: int = KAPPA, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    positive = 3 * torch.randn(batch, generator=generator)
    negative = 3 * torch.randn(batch, negatives, generator=generator)
    valid = torch.rand(batch, generator=generator) < 0.7
    return positive, negative, valid


@pytest.mark.parametrize("margin", [-math.log(5), 0.0, math.log(5)])
@pytest.mark.parametrize("negatives", [1, 5, 8])
def test_the_objective_is_the_double_loop_of_equation_1(negatives: int, margin: float) -> None:
    positive, negative, valid = scores(negatives=negatives)
    attract, repel, anchors = 0.0, 0.0, 0
    for i in range(len(positive)):
        if not valid[i]:
            continue
        anchors += 1
        attract += math.log(sigmoid(float(positive[i]) + margin))
        for j in range(negatives):
            repel += math.log(1 - sigmoid(float(negative[i, j]) + margin))
    expected = attract / anchors + negatives * repel / (anchors * negatives)  # E[log h] + κ E[log(1 - h)]
    assert 0 < anchors < len(positive)
    assert float(nce_objective(positive, negative, valid, margin)) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_attraction_by_1_minus_h_and_repulsion_by_kappa_h() -> None:
    positive, negative, valid = scores()
    margin = prior_logit(KAPPA)
    positive.requires_grad_(True)
    negative.requires_grad_(True)
    nce_objective(positive, negative, valid, margin).backward()  # type: ignore[no-untyped-call]
    assert positive.grad is not None
    assert negative.grad is not None
    anchors = int(valid.sum())
    for i in range(len(positive)):
        weight = 1 / anchors if valid[i] else 0.0
        attract, _ = pressures(positive[i].detach(), margin, KAPPA)
        assert float(positive.grad[i]) == pytest.approx(weight * float(attract), rel=1e-5, abs=1e-12)
        assert float(attract) == pytest.approx(1 - sigmoid(float(positive[i].detach()) + margin), rel=1e-4)
        for j in range(KAPPA):
            _, repel = pressures(negative[i, j].detach(), margin, KAPPA)  # of each draw: κ h shared among κ draws
            assert float(negative.grad[i, j]) == pytest.approx(-weight * float(repel) / KAPPA, rel=1e-5, abs=1e-12)


def test_an_anchor_without_false_pairs_counts_in_neither_term() -> None:
    positive, negative, valid = scores()
    changed = torch.where(valid, positive, 100.0), torch.where(valid[:, None], negative, -100.0)
    expected = nce_objective(positive[valid], negative[valid], valid[valid], -1.0)
    torch.testing.assert_close(nce_objective(*changed, valid, -1.0), expected)
    nobody = torch.zeros_like(valid)
    assert float(nce_objective(positive, negative, nobody, -1.0)) == 0.0
    assert float(information_estimate(positive, nobody)) == 0.0


def test_the_objective_is_finite_and_in_float32_for_extreme_scores_in_half_precision() -> None:
    positive = torch.tensor([-1e4, 1e4], dtype=torch.bfloat16, requires_grad=True)
    negative = torch.tensor([[1e4] * 5, [-1e4] * 5], dtype=torch.bfloat16)
    found = nce_objective(positive, negative, torch.ones(2, dtype=torch.bool), prior_logit(5))
    assert found.dtype == torch.float32
    found.backward()  # type: ignore[no-untyped-call]
    assert found.isfinite()
    assert positive.grad is not None
    assert positive.grad.isfinite().all()
    many = torch.ones(1001, dtype=torch.bfloat16)  # bfloat16 itself cannot count to 1001
    everyone = torch.ones(1001, dtype=torch.bool)
    single = nce_objective(many[:1], many[:1, None], everyone[:1], 0.0)
    torch.testing.assert_close(nce_objective(many, many[:, None], everyone, 0.0), single)
    assert float(information_estimate(many, everyone)) == 1.0


def test_the_margin_and_the_ceiling_are_one_quantity_with_two_signs() -> None:
    assert prior_logit(5) == pytest.approx(-1.6094379)
    assert information_ceiling(5) == pytest.approx(1.6094379)
    assert prior_logit(10, 2) == pytest.approx(prior_logit(5))
    assert sigmoid(prior_logit(5)) == pytest.approx(1 / 6)  # Eq. 2: p(J = 1 | T) = N1 / (N0 + N1)


def test_with_the_margin_independent_features_are_pulled_and_pushed_alike_without_it_pushed_five_times_more() -> None:
    nothing = torch.zeros(())
    attract, repel = pressures(nothing, prior_logit(5), 5)
    assert float(attract) == pytest.approx(float(repel)) == pytest.approx(5 / 6)
    attract, repel = pressures(nothing, 0.0, 5)
    assert float(repel) == pytest.approx(5 * float(attract)) == pytest.approx(2.5)
    attract, repel = pressures(nothing, -prior_logit(5), 5)
    assert (float(attract), float(repel)) == pytest.approx((1 / 6, 25 / 6))


@pytest.mark.parametrize(("margin", "ratio"), [(prior_logit(5), 1.0), (0.0, 5.0)])
def test_the_gradient_of_the_objective_at_score_0_has_that_balance(margin: float, ratio: float) -> None:
    positive, negative = torch.zeros(4, requires_grad=True), torch.zeros(4, 5, requires_grad=True)
    nce_objective(positive, negative, torch.ones(4, dtype=torch.bool), margin).backward()  # type: ignore[no-untyped-call]
    assert positive.grad is not None
    assert negative.grad is not None
    assert float(-negative.grad.sum() / positive.grad.sum()) == pytest.approx(ratio)


def test_scaling_a_gradient_changes_no_value_and_multiplies_what_flows_back() -> None:
    values = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    for factor in (0.1, 1.0, 2.0):
        scaled = scale_gradient(values, factor)
        assert torch.equal(scaled, values)
        (gradient,) = torch.autograd.grad((scaled**2).sum(), values)
        torch.testing.assert_close(gradient, factor * 2 * values.detach())
    assert not scale_gradient(values, 0.0).requires_grad
    assert torch.equal(scale_gradient(values, 0.0), values)


def test_the_information_of_gaussians_is_that_of_their_covariance() -> None:
    rho, width = 0.6, 3
    block = torch.tensor([[1.0, rho], [rho, 1.0]])
    covariance = torch.kron(block, torch.eye(width))
    expected = -0.5 * float(torch.logdet(covariance))  # H(x) + H(y) - H(x, y), the marginals being standard
    assert float(gaussian_information(torch.tensor(rho), width)) == pytest.approx(expected, rel=1e-5)
    assert float(gaussian_information(torch.zeros(()), width)) == 0.0


# A discrete world, where every expectation is a finite sum: z1 and z2 take N values each, equally often; the joint
# distribution is uniform on N * COPIES atoms, so that lists of atoms are exact populations.

VALUES = 20
ATOMS = [(i, (3 * i + shift) % VALUES) for i in range(VALUES) for shift in (0, 0, 0, 1)]
"""True pairs: three quarters on one partner, one quarter on another."""


def discrete() -> tuple[Tensor, Tensor, Tensor]:
    """p(z1, z2), p(z1) p(z2), and the pointwise mutual information, each `(N, N)`."""
    joint = torch.zeros(VALUES, VALUES, dtype=torch.double)
    for i, j in ATOMS:
        joint[i, j] += 1 / len(ATOMS)
    product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
    return joint, product, torch.log(joint / product)


def population(score: Tensor) -> tuple[Tensor, Tensor]:
    """The scores of every true pair, and those of every false pair, five to an anchor, all as often as they happen."""
    positive = torch.stack([score[i, j] for i, j in ATOMS])
    assert VALUES * VALUES == KAPPA * len(ATOMS)  # and every product pair is equally probable
    return positive, score.reshape(len(ATOMS), KAPPA)


def test_the_bound_has_the_corrected_sign_and_the_papers_is_two_log_kappa_looser() -> None:
    joint, product, pointwise = discrete()
    torch.testing.assert_close(product, torch.full_like(product, 1 / VALUES**2))
    information = float(torch.where(joint > 0, joint * pointwise, 0.0).sum())
    best = torch.where(joint > 0, joint / (joint + KAPPA * product), 0.0)
    attract = float(torch.where(joint > 0, joint * best.log(), 0.0).sum())
    repel = KAPPA * float((product * torch.log1p(-best)).sum())

    positive, negative = population(pointwise.clamp(min=-50).float())  # g* = the pointwise mutual information
    everyone = torch.ones(len(positive), dtype=torch.bool)
    objective = nce_objective(positive, negative, everyone, prior_logit(KAPPA))
    assert float(objective) == pytest.approx(attract + repel, rel=1e-5)  # h = σ(g* + γ) is the posterior
    assert float(information_estimate(positive, everyone)) == pytest.approx(information, rel=1e-5)

    corrected = float(lower_bound(objective, KAPPA))
    assert corrected == pytest.approx(math.log(KAPPA) + attract + repel, rel=1e-5)
    assert corrected <= math.log(KAPPA) + attract <= information  # Eq. 8 and Eq. 5 with +log(N0 / N1)
    papers = prior_logit(KAPPA) + float(objective)
    assert corrected - papers == pytest.approx(2 * math.log(KAPPA), rel=1e-6)
    assert papers < 0 < corrected < information_ceiling(KAPPA) < information  # vacuous, although true


def test_no_critic_does_better_than_the_posterior() -> None:
    _, _, pointwise = discrete()
    generator = torch.Generator().manual_seed(0)
    best = pointwise.clamp(min=-50).float()
    everyone = torch.ones(len(ATOMS), dtype=torch.bool)
    highest = nce_objective(*population(best), everyone, prior_logit(KAPPA))
    for size in (0.01, 0.3, 3.0):
        for _ in range(20):
            other = best + size * torch.randn(best.shape, generator=generator)
            assert nce_objective(*population(other), everyone, prior_logit(KAPPA)) < highest


def test_without_the_margin_the_score_absorbs_it_and_objective_and_bound_stay() -> None:
    _, _, pointwise = discrete()
    best = pointwise.clamp(min=-50).float()
    everyone = torch.ones(len(ATOMS), dtype=torch.bool)
    with_margin = nce_objective(*population(best), everyone, prior_logit(KAPPA))
    without = nce_objective(*population(best - information_ceiling(KAPPA)), everyone, 0.0)
    torch.testing.assert_close(with_margin, without)


def test_the_bound_saturates_at_log_kappa_however_much_information_there_is() -> None:
    before = -math.inf
    for values in (10, 100, 1000, 100_000):  # z2 = z1, uniform: I = log of the number of values
        best = sigmoid(math.log(values) - math.log(KAPPA))
        bound = math.log(KAPPA) + math.log(best) + KAPPA / values * math.log(1 - best)
        assert before < bound < information_ceiling(KAPPA)
        before = bound
    assert before == pytest.approx(information_ceiling(KAPPA), abs=1e-3)
    certain = torch.full((4,), 100.0)
    found = nce_objective(certain, -certain[:, None].expand(4, KAPPA), torch.ones(4, dtype=torch.bool), 0.0)
    assert float(lower_bound(found, KAPPA)) == pytest.approx(information_ceiling(KAPPA))
