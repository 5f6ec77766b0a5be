"""InfoBridge: cross-entropy plus conditional noise-contrastive estimation between the modalities (Eq. 10)."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from training.batch import Batch, Output
from training.condition import condition
from training.critics import Cosine, Critic, MultilayerPerceptron, Pair, frozen
from training.errors import ConfigError, require_additive, require_several
from training.information import (
    information_ceiling,
    information_estimate,
    nce_objective,
    prior_logit,
    scale_gradient,
)
from training.memory import Memory, Negatives, draw_repeatedly
from training.method import Method, Run, Setting
from training.protection import protection_loss


class InfoBridge(Method):
    """Maximises a bound on I(z1; z2 | T) between the encoders' features beside the task, over all pairs of modalities.

    The critic maximises L(h) at weight 1, the encoders at weight α. With α = 0 the trajectory is that of joint
    training, bit for bit. T reaches the critic only, which is left out at export.

    Variants: "paper" is Eq. 10. "protected" is ours and adds two terms: the cross-entropy of each modality's own share,
    so that none can hide behind another, and that of false pairs that share the class, which must be classified no
    worse than true ones. docs/design.md derives it. It needs a fusion whose shares are each modality's own.
    """

    @dataclass(frozen=True)
    class Options:
        """The paper's values where it gives them."""

        variant: Literal["paper", "protected"] = "paper"
        """As published, or with the terms of share_weight and protection."""
        alpha: float = 0.1
        """α of Eq. 10: weight of the information gradient on the encoders. At 0, the paper's "w/o CMI objective"
        (Table 2), this is joint training."""
        negatives_per_pair: int = 5
        """N0: false pairs for each true pair."""
        memory: int = 1024
        """Past projections kept to draw false pairs from."""
        context: str = "semantic"
        """The context T: semantic, the class; constant, the paper's "w/o context prior" (Table 2); cluster, with 5 its
        "w/o semantic"; or retrieval (with cluster, Table 3)."""
        clusters: int = 5
        """k of the context cluster, recomputed as each epoch starts; the paper has 5 and 10."""
        negatives: Negatives = "same_context"
        """Whether false pairs share T, or come from any context. Then an anchor z1 and its T face any z2, whose target
        I(z1, T; z2) = I(z2; T) + I(z1; z2 | T) the critic can win from T alone; anchors of both sides face one
        critic, so the target is the divergence of p(z1, z2, T) from the even mixture of p(z1, T) p(z2) and
        p(z1) p(z2, T), at most the mean of I(z1, T; z2) and I(z1; z2, T)."""
        margin: bool = True
        """Keep the margin γ = log(1 / N0) inside the critic's logit; without it, the paper's "w/o protective margin"
        (Table 2), independent features are repelled."""
        critic: Literal["cosine", "mlp"] = "cosine"
        """Form of the critic."""
        dimensions: int = 128
        """Width of the projections the critic compares."""
        temperature: float = 0.1
        """τ of the cosine critic."""
        update: Literal["joint", "alternate"] = "joint"
        """One backward pass for all, or Algorithm 1: first the critic on fixed features, then the encoders."""
        critic_steps: int = 1
        """Critic updates for each batch when alternating."""
        critic_learning_rate: float = 1e-3
        """Of the critic's own optimiser (Adam) when alternating."""
        share_weight: float = 1.0
        """Variant protected: weight of each modality's own cross-entropy."""
        protection: float = 1.0
        """Variant protected: weight of the cross-entropy of negatives_per_pair false pairs of each sample's class."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            for name in ("negatives_per_pair", "memory", "dimensions", "critic_steps", "clusters"):
                if getattr(self, name) < 1:
                    raise ConfigError(f"method.{name} must be at least 1, not {getattr(self, name)}")
            if not 0 <= self.alpha < math.inf or not self.temperature > 0 or not self.critic_learning_rate > 0:
                raise ConfigError(
                    "method.alpha must be a number and not negative; temperature and learning rate must be positive"
                )
            if not 0 <= self.share_weight < math.inf or not 0 <= self.protection < math.inf:
                raise ConfigError("method.share_weight and method.protection must not be negative")
            if self.variant == "paper" and (self.share_weight, self.protection) != (1.0, 1.0):
                raise ConfigError("method.share_weight and method.protection are of --method.variant protected")

    options: "InfoBridge.Options"
    WITHIN = ("_figures",)

    def __init__(self, setting: Setting, options: "InfoBridge.Options") -> None:
        super().__init__(setting, options)
        names = list(setting.widths)
        require_several("infobridge", names)
        if options.variant == "protected":
            require_additive("variant protected", setting.additive)
        self.pairs: list[Pair] = list(itertools.combinations(names, 2))
        self.condition = condition(options.context, setting, options)
        self.generator = torch.Generator().manual_seed(setting.seed + 1)
        with torch.random.fork_rng(devices=[]):  # the critic's initial weights must not shift anyone else's numbers
            torch.default_generator.manual_seed(setting.seed + 2)  # torch.manual_seed would seed every accelerator too
            self.critic = self._build_critic()
        self.memory = Memory(options.memory, options.dimensions, names)
        self.margin = prior_logit(options.negatives_per_pair) if options.margin else 0.0
        self._figures: list[Tensor] = []
        self._critic_optimizer: torch.optim.Optimizer | None = None
        if options.update == "alternate":
            self._critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=options.critic_learning_rate)

    def _build_critic(self) -> Critic:
        options, common = self.options, (self.setting.widths, self.pairs, self.condition.count, self.options.dimensions)
        if options.critic == "mlp":
            return MultilayerPerceptron(*common)
        return Cosine(*common, temperature=options.temperature)

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """The task's cross-entropy, -L(h) whose gradient reaches the encoders scaled by α, and the variant's terms."""
        task = self.classify(out.logits, batch.labels)
        scaled = {name: scale_gradient(features, self.options.alpha) for name, features in out.features.items()}
        if self._critic_optimizer is None:
            objective = self.objective(scaled, batch, remember=self.training)
        else:
            if self.training:
                still = {name: features.detach() for name, features in out.features.items()}
                for step in range(self.options.critic_steps):
                    self._update_critic(still, batch, remember=step == 0)
            with frozen(self.critic):
                objective = self.objective(scaled, batch, remember=False)
        terms = {"task": task, "information": -objective}
        return terms | self._protection(out, batch) if self.options.variant == "protected" else terms

    def _protection(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Each modality's own cross-entropy, and that of false pairs of the same class; computed in float32."""
        options, shares = self.options, {name: share.float() for name, share in out.shares.items()}
        own = {
            f"own_{name}": options.share_weight * self.classify(share, batch.labels) for name, share in shares.items()
        }
        protected = protection_loss(shares, batch, options.negatives_per_pair, self.generator, self.class_weights)
        return {**own, "protection": options.protection * protected}

    def objective(self, features: dict[str, Tensor], batch: Batch, remember: bool = True) -> Tensor:
        """L(h), averaged over the pairs of modalities and both directions; computed in float32.

        A false partner comes from the memory, detached, so in each direction only the anchor feels its false pairs:
        half the repulsion that L has, beside the whole attraction. The anchor's gradient is doubled to make it whole;
        with every candidate of a fresh memory drawn, the gradient is exactly that of L with both sides live.

        Args:
            features: by modality, `(batch, width)`.
            batch: for labels, samples and groups.
            remember: put this batch into the memory first.
        """
        with torch.autocast(batch.labels.device.type, enabled=False):
            projections = self.critic.project_all({name: values.float() for name, values in features.items()})
            with torch.no_grad():
                contexts = self.condition.contexts(batch, features, projections, self.memory)
            if remember:
                self.memory.push(projections, contexts, batch.samples, batch.groups)
            allowed = self.memory.candidates(contexts, batch.samples, batch.groups, self.options.negatives)
            return torch.stack([self._pair(pair, projections, contexts, allowed) for pair in self.pairs]).mean()

    def epoch_start(self, run: Run) -> None:
        """Let the context learn from the training split."""
        self.condition.epoch_start(run)

    def _pair(self, pair: Pair, projections: dict[str, Tensor], contexts: Tensor, allowed: Tensor) -> Tensor:
        first, second = pair
        count = self.options.negatives_per_pair
        (forward, backward), valid = draw_repeatedly(allowed, count, 2, self.generator)
        one, two = (scale_gradient(projections[name], 2.0) for name in pair)
        false = ((one, self.memory.rows(second, forward)), (self.memory.rows(first, backward), two))
        true = projections[first], projections[second]
        positive, negative = self.critic.score_batch(pair, true, false, contexts, valid if self.training else None)
        objective = nce_objective(positive.repeat(2), negative, valid.repeat(2), self.margin)  # of both directions
        with torch.no_grad():
            estimate = information_estimate(positive, valid)
            self._figures.append(torch.stack([estimate, objective, valid.float().mean()]))
        return objective

    def _update_critic(self, features: dict[str, Tensor], batch: Batch, remember: bool) -> None:
        """One step of Algorithm 1's "update h by maximising L(h)", the features fixed."""
        assert self._critic_optimizer is not None
        self._critic_optimizer.zero_grad()
        torch.autograd.backward(-self.objective(features, batch, remember))
        self._critic_optimizer.step()
        self._critic_optimizer.zero_grad()

    def diagnostics(self) -> dict[str, float]:
        """Mean over the epoch's anchors of the estimate E[g] and of the bound log κ + L(h), both in nats, and the
        share of anchors that had false pairs: without any there is nothing to report but that share, 0.
        """
        figures, self._figures = self._figures, []
        if not figures:
            return {}
        estimates, objectives, used = torch.stack(figures).cpu().double().unbind(dim=1)
        total = used.sum()
        if total == 0:
            return {"anchors_used": 0.0}
        ceiling = information_ceiling(self.options.negatives_per_pair)
        return {
            "information": float((estimates * used).sum() / total) + self.margin + ceiling,
            "information_bound": float((objectives * used).sum() / total) + ceiling,
            "anchors_used": float(used.mean()),
        }

    def trained(self) -> Iterable[nn.Parameter]:
        """The critic's parameters, unless it has an optimiser of its own."""
        return [] if self._critic_optimizer is not None else self.critic.parameters()

    def get_extra_state(self) -> dict[str, Any]:
        """The sampler's random state and the critic's own optimiser, for exact resumption."""
        state: dict[str, Any] = {"generator": self.generator.get_state()}
        if self._critic_optimizer is not None:
            state["critic_optimizer"] = self._critic_optimizer.state_dict()
        return state

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` gave."""
        self.generator.set_state(state["generator"].cpu())
        if self._critic_optimizer is not None:
            self._critic_optimizer.load_state_dict(state["critic_optimizer"])
