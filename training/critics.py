"""Critics: the score g(z1, z2, T) that tells true pairs from false ones of the same context.

A critic projects each modality once, so that projections can be kept in a memory, and scores pairs of projections.
`margin` is not its business: the objective adds γ.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

Pair = tuple[str, str]
Sides = tuple[Tensor, Tensor]


class Critic(nn.Module, ABC):
    """Scores pairs of modalities.

    Args:
        widths: feature width of each modality.
        pairs: the pairs of modalities that will be scored.
        contexts: number of values T takes.
        dimensions: width of the projections.
    """

    def __init__(self, widths: dict[str, int], pairs: list[Pair], contexts: int, dimensions: int) -> None:
        super().__init__()
        self.contexts = contexts
        self.projections = nn.ModuleDict({name: nn.Linear(width, dimensions) for name, width in widths.items()})
        self.pairs = pairs

    @abstractmethod
    def project(self, modality: str, features: Tensor) -> Tensor:
        """`(batch, width)` features to `(batch, dimensions)` projections."""

    def project_all(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """`project` of every modality."""
        return {name: self.project(name, values) for name, values in features.items()}

    @abstractmethod
    def score(self, pair: Pair, first: Tensor, second: Tensor, context: Tensor) -> Tensor:
        """g for each pair of projections.

        Args:
            pair: the modalities of `first` and `second`.
            first, second: `(batch, dimensions)` or `(batch, N0, dimensions)`, broadcast against each other.
            context: `(batch,)` the anchors' T.
        """

    def observe(self, pair: Pair, first: Tensor, second: Tensor, context: Tensor, valid: Tensor) -> None:
        """Learn from false pairs, shaped as for `score`, what independent pairs score; by default nothing.

        Args:
            valid: `(batch,)` false for an anchor without false pairs.
        """

    def score_batch(
        self, pair: Pair, true: Sides, false: Sequence[Sides], context: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """g of the true pairs, `(batch,)`, and of the false pairs of all directions, `(directions * batch, N0)`, after
        learning from all of these.

        Args:
            pair: the modalities.
            true: both sides, `(batch, dimensions)`.
            false: the sides of each direction, shaped as for `score`.
            context: `(batch,)` the anchors' T.
            valid: as for `observe`; None to learn nothing.
        """
        if valid is not None:
            for first, second in false:
                self.observe(pair, first, second, context, valid)
        scores = [self.score(pair, first, second, context) for first, second in (true, *false)]
        return scores[0], torch.cat(scores[1:])


class Cosine(Critic):
    """g = <(1 + e_T) ⊙ z̃1, z̃2> / τ - log Ẑ_T on unit projections, the default.

    e_T is a learned embedding that starts at 0. Ẑ_T is a moving average of exp(s / τ) over the false pairs of context
    T, so that E[exp g | J = 0] = 1 as a pointwise mutual information must satisfy: the normaliser of contrastive
    representation distillation, made conditional.
    """

    def __init__(
        self,
        widths: dict[str, int],
        pairs: list[Pair],
        contexts: int,
        dimensions: int = 128,
        temperature: float = 0.1,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(widths, pairs, contexts, dimensions)
        self.temperature = temperature
        self.momentum = momentum
        self.context_scale = nn.ModuleDict({_key(pair): _zero_embedding(contexts, dimensions) for pair in pairs})
        for pair in pairs:
            self.register_buffer(f"log_normaliser_{_key(pair)}", torch.full((contexts,), float("nan")))

    def project(self, modality: str, features: Tensor) -> Tensor:
        """Unit vectors `(batch, dimensions)`."""
        return functional.normalize(self.projections[modality](features), dim=-1)

    def project_all(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same, all made unit vectors at once."""
        plain = torch.stack([self.projections[name](values) for name, values in features.items()])
        return dict(zip(features, functional.normalize(plain, dim=-1).unbind(), strict=True))

    def normaliser(self, pair: Pair) -> Tensor:
        """log Ẑ_T, `(contexts,)`; NaN for a context that was never seen."""
        return self.get_buffer(f"log_normaliser_{_key(pair)}")

    def score(self, pair: Pair, first: Tensor, second: Tensor, context: Tensor) -> Tensor:
        """Calibrated scores, in nats."""
        raw = self._raw(self._scale(pair, context), first, second)
        shift = self.normaliser(pair)[context].nan_to_num(0.0)
        return raw - (shift if raw.dim() == 1 else shift[:, None])

    def score_batch(
        self, pair: Pair, true: Sides, false: Sequence[Sides], context: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The same, with every product computed once for both learning and scoring."""
        scale = self._scale(pair, context)
        positive, *negative = [self._raw(scale, first, second) for first, second in (true, *false)]
        if valid is not None:
            self._learn(pair, negative, context, valid)
        shift = self.normaliser(pair)[context].nan_to_num(0.0)
        return positive - shift, torch.cat(negative) - shift.repeat(len(false))[:, None]

    def _scale(self, pair: Pair, context: Tensor) -> Tensor:
        """(1 + e_T) / τ, `(batch, dimensions)`."""
        scale: Tensor = (1.0 + self.context_scale[_key(pair)](context)) / self.temperature
        return scale

    def _raw(self, scale: Tensor, first: Tensor, second: Tensor) -> Tensor:
        if first.dim() > second.dim():  # the product is the same, and cheaper when the many partners come last
            first, second = second, first
        first, second, scale = _aligned(first, second, scale)
        return (scale * first * second).sum(dim=-1)

    @torch.no_grad()
    def observe(self, pair: Pair, first: Tensor, second: Tensor, context: Tensor, valid: Tensor) -> None:
        """Move log Ẑ_T towards this batch's mean of exp(s / τ) over false pairs; a new context starts there."""
        self._learn(pair, [self._raw(self._scale(pair, context), first, second)], context, valid)

    @torch.no_grad()
    def _learn(self, pair: Pair, scores: list[Tensor], context: Tensor, valid: Tensor) -> None:
        """As `observe`, from each of several sets of scores in turn: the moving average after all of them, at once."""
        member = (context == torch.arange(self.contexts, device=context.device)[:, None]) & valid
        counts = member.sum(dim=1)
        known = self.normaliser(pair)
        anchors = torch.stack(scores).logsumexp(dim=2)[:, None]
        totals = torch.where(member, anchors, -math.inf).logsumexp(dim=2)
        found = totals - torch.log(counts * scores[0].shape[1])  # NaN where a context is absent
        kept, new = math.log(self.momentum), math.log(1.0 - self.momentum)
        terms = [torch.where(known.isnan(), found[0], known) + kept * len(found)]
        terms += [value + (new + kept * later) for later, value in enumerate(reversed(found.unbind()))]
        known.copy_(torch.where(counts > 0, torch.stack(terms).logsumexp(dim=0), known))


class MultilayerPerceptron(Critic):
    """g = MLP([u, v, u ⊙ v, u², v², e_T]) on plain projections u, v: expressive, for estimating information.

    No bias at the output: the prior γ is the only constant offset. The context also scales the products, so that
    contexts may differ in how strongly their modalities depend on each other.
    """

    def __init__(
        self,
        widths: dict[str, int],
        pairs: list[Pair],
        contexts: int,
        dimensions: int = 128,
        hidden: int = 256,
    ) -> None:
        super().__init__(widths, pairs, contexts, dimensions)
        self.embedding = nn.Embedding(contexts, hidden)
        self.first = nn.ModuleDict({_key(pair): nn.Linear(5 * dimensions, hidden) for pair in pairs})
        self.body = nn.ModuleDict(
            {_key(pair): nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()) for pair in pairs}
        )
        self.readout = nn.ModuleDict({_key(pair): nn.Linear(hidden, 1, bias=False) for pair in pairs})
        self.products = nn.ModuleDict({_key(pair): _zero_embedding(contexts, 5 * dimensions) for pair in pairs})

    def project(self, modality: str, features: Tensor) -> Tensor:
        """`(batch, dimensions)`, of any length."""
        projected: Tensor = self.projections[modality](features)
        return projected

    def score(self, pair: Pair, first: Tensor, second: Tensor, context: Tensor) -> Tensor:
        """Scores in nats."""
        key = _key(pair)
        first, second, embedded, products = _aligned(
            first, second, self.embedding(context), self.products[key](context)
        )
        product = first * second
        first, second = first.expand_as(product), second.expand_as(product)
        terms = torch.cat([first, second, product, first**2, second**2], dim=-1)
        hidden = self.body[key](self.first[key](terms) + embedded)
        linear = (products * terms).sum(dim=-1)
        found: Tensor = self.readout[key](hidden).squeeze(-1) + linear
        return found


@contextmanager
def frozen(critic: nn.Module) -> Iterator[None]:
    """What is computed inside treats the critic's parameters as constants; outside they stay trainable."""
    for parameter in critic.parameters():
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in critic.parameters():
            parameter.requires_grad_(True)


def _key(pair: Pair) -> str:
    return "+".join(pair)  # "_" would not tell ("a", "b_c") from ("a_b", "c")


def _zero_embedding(contexts: int, width: int) -> nn.Embedding:
    """A vector for each context that starts at 0, so that contexts start alike."""
    embedding = nn.Embedding(contexts, width)
    nn.init.zeros_(embedding.weight)
    return embedding


def _aligned(*sides: Tensor) -> tuple[Tensor, ...]:
    """Give every `(batch, width)` tensor an axis for the false pairs where another one has it."""
    deep = max(side.dim() for side in sides) == 3
    return tuple(side[:, None] if deep and side.dim() == 2 else side for side in sides)
