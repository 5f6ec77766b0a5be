"""On Gaussian pairs, whose information is known, InfoBridge estimates it and its bound holds."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from training.batch import Batch
from training.critics import Critic, MultilayerPerceptron
from training.information import gaussian_information, information_estimate, lower_bound, nce_objective, prior_logit
from training.memory import Memory, Negatives, draw
from training.method import Setting
from training.methods.infobridge import InfoBridge

WIDTH = 3
CORRELATION = torch.tensor([0.4, 0.6, 0.8])
MEANS = torch.tensor([[-1.0, 0.5, 0.0], [0.5, 1.0, -0.5], [1.0, -0.5, 0.5]])
CLASSES = 3
NEGATIVES = 5
BATCH, MEMORY, STEPS, RATE = 256, 512, 500, 1e-2
PAIR = ("first", "second")
SEED = 0

Ratio = Callable[[Tensor, Tensor, Tensor], Tensor]


# The world: T uniform; z1 = μ_T + x, z2 = μ_T + y, the coordinates of x and y standard normal, correlated by ρ_T.


def sample(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    context = torch.randint(CLASSES, (count,), generator=generator)
    x, noise = torch.randn(count, WIDTH, generator=generator), torch.randn(count, WIDTH, generator=generator)
    rho = CORRELATION[context][:, None]
    return MEANS[context] + x, MEANS[context] + rho * x + (1 - rho**2).sqrt() * noise, context


def log_single(z: Tensor, context: Tensor) -> Tensor:
    """log p(z | T), either side."""
    return (-((z - MEANS[context]) ** 2) / 2 - math.log(2 * math.pi) / 2).sum(dim=1)


def log_joint(z1: Tensor, z2: Tensor, context: Tensor) -> Tensor:
    """log p(z1, z2 | T)."""
    x, y, rho = z1 - MEANS[context], z2 - MEANS[context], CORRELATION[context][:, None]
    square = (x**2 - 2 * rho * x * y + y**2) / (1 - rho**2)
    return (-square / 2 - torch.log(1 - rho**2) / 2 - math.log(2 * math.pi)).sum(dim=1)


def over_contexts(log_density: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """log of the mean over T of a density."""
    each = [log_density(torch.full((count,), context)) for context in range(CLASSES)]
    return torch.logsumexp(torch.stack(each), dim=0) - math.log(CLASSES)


def log_marginal(z: Tensor) -> Tensor:
    """log p(z)."""
    return over_contexts(lambda context: log_single(z, context), len(z))


def conditional_ratio(z1: Tensor, z2: Tensor, context: Tensor) -> Tensor:
    """log p(z1, z2 | T) / p(z1 | T) p(z2 | T), whose mean is I(z1; z2 | T)."""
    return log_joint(z1, z2, context) - log_single(z1, context) - log_single(z2, context)


def unconditional_ratio(z1: Tensor, z2: Tensor, context: Tensor) -> Tensor:
    """log p(z1, z2) / p(z1) p(z2), whose mean is I(z1; z2)."""
    return over_contexts(lambda value: log_joint(z1, z2, value), len(z1)) - log_marginal(z1) - log_marginal(z2)


def informed_ratio(z1: Tensor, z2: Tensor, context: Tensor) -> Tensor:
    """log p(z1, z2, T) / p(z1, T) p(z2), whose mean is I(z1, T; z2)."""
    return log_joint(z1, z2, context) - log_single(z1, context) - log_marginal(z2)


def two_sided_ratio(z1: Tensor, z2: Tensor, context: Tensor) -> Tensor:
    """log of p(z1, z2, T) over the even mixture of p(z1, T) p(z2) and p(z1) p(z2, T)."""
    one = log_single(z1, context) + log_marginal(z2)
    other = log_marginal(z1) + log_single(z2, context)
    return log_joint(z1, z2, context) - torch.logaddexp(one, other) + math.log(2)


@dataclass(frozen=True)
class Truth:
    """What is to be found, by simulation."""

    information: float
    best_bound: float
    """log κ + L(h*): no critic's bound can be higher."""
    error: float
    """Of `best_bound`."""


def truth(ratio: Ratio, negatives: Negatives, constant: bool = False, two_sided: bool = True) -> Truth:
    """E[log ratio | J = 1], and the bound of the critic that knows the ratio."""
    generator = torch.Generator().manual_seed(17)
    z1, z2, context = sample(200_000, generator)
    if constant or negatives == "any":
        partners = torch.randperm(len(z1), generator=generator)
    else:
        order = torch.argsort(context, stable=True)
        shifted = torch.cat([members.roll(1) for members in torch.split(order, torch.bincount(context).tolist())])
        partners = torch.empty_like(order).scatter(0, order, shifted)
    margin = prior_logit(NEGATIVES)
    attract = torch.nn.functional.logsigmoid(ratio(z1, z2, context) + margin)
    false = [ratio(z1, z2[partners], context)]
    if two_sided:
        false.append(ratio(z1[partners], z2, context))
    repel = torch.stack([torch.nn.functional.logsigmoid(-(score + margin)) for score in false]).mean(dim=0)
    each = attract + NEGATIVES * repel
    mean = ratio(z1, z2, context).mean()
    return Truth(float(mean), math.log(NEGATIVES) + float(each.mean()), float(each.std()) / math.sqrt(len(each)))


# The estimators: InfoBridge itself, and one that sees false partners of one side only.


class Bridge:
    """InfoBridge's own objective, memory and sampler on features that are the world's pairs."""

    def __init__(
        self, critic: Literal["cosine", "mlp"], negatives: Negatives = "same_context", constant: bool = False
    ) -> None:
        torch.manual_seed(SEED)
        self.constant = constant
        options = InfoBridge.Options(critic=critic, dimensions=8, memory=MEMORY, negatives=negatives)
        widths, contexts = dict.fromkeys(PAIR, WIDTH), 1 if constant else CLASSES
        self.method = InfoBridge(Setting(widths, contexts, SEED, RATE), options)
        if critic == "mlp":
            self.method.critic = MultilayerPerceptron(widths, [PAIR], contexts, dimensions=8, hidden=24)
        self.generator = torch.Generator().manual_seed(SEED + 100)
        self.seen = 0

    @property
    def critic(self) -> Critic:
        return self.method.critic

    def fresh(self, count: int) -> tuple[dict[str, Tensor], Batch]:
        z1, z2, context = sample(count, self.generator)
        numbers = torch.arange(self.seen, self.seen + count)
        self.seen += count
        labels = torch.zeros_like(context) if self.constant else context
        return dict(zip(PAIR, (z1, z2), strict=True)), Batch({}, labels, numbers, numbers)

    def objective(self, count: int) -> Tensor:
        features, batch = self.fresh(count)
        return self.method.objective(features, batch)

    def train(self, steps: int) -> None:
        """Adam, then the mean of the weights of the second half, which leaves less of the draws' noise."""
        self.method.train()
        optimizer = torch.optim.Adam(self.critic.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps + 1)
        averaged = AveragedModel(self.critic)
        for step in range(steps):
            optimizer.zero_grad()
            torch.autograd.backward(-self.objective(BATCH))
            optimizer.step()
            schedule.step()
            if step >= steps // 2:
                averaged.update_parameters(self.critic)
        self.critic.load_state_dict(averaged.module.state_dict())
        self.method.eval()

    @torch.no_grad()
    def bound(self, rounds: int = 40) -> tuple[float, float]:
        """On fresh data, each batch filling the whole memory anew: mean and standard error."""
        found = torch.stack([lower_bound(self.objective(MEMORY), NEGATIVES) for _ in range(rounds)])
        return float(found.mean()), float(found.std()) / math.sqrt(rounds)

    @torch.no_grad()
    def estimate(self) -> float:
        """E[g | J = 1] on fresh data."""
        features, batch = self.fresh(400_000)
        one, two = (self.critic.project(name, features[name]) for name in PAIR)
        score = self.critic.score(PAIR, one, two, batch.labels)
        return float(information_estimate(score, torch.ones(len(score), dtype=torch.bool)))


class OneSided(Bridge):
    """False pairs only of anchors z1 and their T with z2 of any context; the memory keeps features, not projections."""

    def __init__(self) -> None:
        super().__init__("mlp", "any")
        self.memory = Memory(MEMORY, WIDTH, list(PAIR))

    def objective(self, count: int) -> Tensor:
        features, batch = self.fresh(count)
        self.memory.push(features, batch.labels, batch.samples, batch.groups)
        allowed = self.memory.candidates(batch.labels, batch.samples, batch.groups, "any")
        chosen, valid = draw(allowed, NEGATIVES, self.generator)
        anchor, true = (self.critic.project(name, features[name]) for name in PAIR)
        false = self.critic.project("second", self.memory.projections("second")[chosen])
        positive = self.critic.score(PAIR, anchor, true, batch.labels)
        negative = self.critic.score(PAIR, anchor, false, batch.labels)
        return nce_objective(positive, negative, valid, prior_logit(NEGATIVES))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(bridge: Bridge, expected: Truth) -> None:
    """The estimate within 5 %, the bound below both the information and the best possible, and close to the latter."""
    bridge.train(STEPS)
    assert bridge.estimate() == pytest.approx(expected.information, rel=0.05)
    bound, error = bridge.bound()
    noise = 3 * math.hypot(error, expected.error)
    assert bound <= expected.information
    assert bound <= expected.best_bound + noise
    assert bound >= expected.best_bound - noise - 0.01


def test_the_estimate_with_false_pairs_of_the_same_context_is_the_conditional_information() -> None:
    simulated = truth(conditional_ratio, "same_context")
    analytic = float(gaussian_information(CORRELATION, WIDTH).mean())  # -d/2 log(1 - ρ²), over T
    assert simulated.information == pytest.approx(analytic, rel=0.01)
    check(Bridge("mlp"), replace(simulated, information=analytic))


def test_a_constant_context_finds_the_larger_unconditional_information_that_the_class_means_bring() -> None:
    expected = truth(unconditional_ratio, "same_context", constant=True)
    assert expected.information > 1.1 * float(gaussian_information(CORRELATION, WIDTH).mean())
    check(Bridge("mlp", constant=True), expected)


def test_false_pairs_of_any_context_let_the_critic_win_from_the_context_alone() -> None:
    expected = truth(informed_ratio, "any", two_sided=False)
    _, z2, context = sample(200_000, torch.Generator().manual_seed(3))
    shared = float((log_single(z2, context) - log_marginal(z2)).mean())  # I(z2; T)
    conditional = float(gaussian_information(CORRELATION, WIDTH).mean())
    assert expected.information == pytest.approx(shared + conditional, rel=0.01)  # the chain rule
    check(OneSided(), expected)


def test_anchors_of_both_sides_with_false_pairs_of_any_context_aim_at_the_mixture_of_the_two_products() -> None:
    expected = truth(two_sided_ratio, "any")
    assert float(gaussian_information(CORRELATION, WIDTH).mean()) < expected.information
    assert expected.information < truth(informed_ratio, "any").information
    check(Bridge("mlp", "any"), expected)


@pytest.mark.parametrize("negatives", ["same_context", "any"])
@pytest.mark.parametrize("critic", ["cosine", "mlp"])
def test_the_bound_never_exceeds_what_is_there_at_any_moment_of_training(
    critic: Literal["cosine", "mlp"], negatives: Negatives
) -> None:
    ratio = conditional_ratio if negatives == "same_context" else two_sided_ratio
    expected = truth(ratio, negatives)
    bridge = Bridge(critic, negatives)
    for steps in (0, 5, 40, 80):
        if steps:
            bridge.train(steps)
        bound, error = bridge.bound(rounds=20)
        noise = 3 * math.hypot(error, expected.error)
        assert bound <= expected.information
        assert bound <= expected.best_bound + noise
