"""ReconBoost: modalities trained in turn, each reconciled with what the others say already (Hua et al., ICML 2024)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch, Output
from training.errors import ConfigError, require_additive, require_several
from training.method import Method, Run, Setting
from training.model import Classifier


class ReconBoost(Method):
    """Boosting over modalities: in stage s, the learner of modality k = s mod M learns what the others got wrong.

    A learner is an encoder and its head, f_k its share of the logits. A stage has two phases, each of which starts with
    an optimiser that remembers nothing. In the first only learner k is trained; the others stand still, in evaluation
    mode, so that neither their weights nor their normalisation moves. With p_k = softmax(f_k), q = softmax(Σ_j≠k f_j)
    and p_prev that of the modality before k in the cycle, both constants to the gradient,

        L = CE(f_k, y) - λ KL(q || p_k) + α MSE(p_k, p_prev),   λ = w2 / w1,

    over all classes: its gradient by f_k is (1 - λ) p_k + λ q - y, the residual that boosting fits, plus that of memory
    consolidation, the last term. -KL has no lower bound, and where q disagrees with y the logits drift slowly: short
    phases and weight decay hold them. In the first stage there is no history and L is the cross-entropy alone. In the
    second phase, global rectification, all learners are trained with CE(Σ_j f_j, y).

    Variants: "paper" is the above. "official-code" minimises mean_i -(1 / C) (w1 - w2 q_y) log p_k(y) with the memory
    term: only the label's class is reconciled. There the ensemble grows: a learner answers and is rectified from its
    own first stage on, which the logits of the classifier do not know, so its first M - 1 stages measure untrained
    learners too; in the first stage q_y is 1.

    Not reproduced: both sides of the released memory term are detached, so it has no gradient and does nothing; the
    best stage by the test split; incomplete batches left out of training and test; others whose batch statistics move
    while they should stand still. The learnable factor on the sum of logits is left out, since the heads' weights
    contain it, and so is the head that all modalities share: features of different widths have a head each, which the
    fusion is and which is exported. The authors start from encoders trained alone, where they have them.

    Few epochs: a last stage is cut short wherever it stands, and with fewer than one stage for each modality some are
    trained in rectification only ("official-code": not at all). For 20 epochs, 1 + 1 a stage makes 10 stages.
    """

    @dataclass(frozen=True)
    class Options:
        """The released code's values, of CREMA-D."""

        label_weight: float = 5.0
        """w1: weight of the label; the authors use 4 on AVE and ModelNet40."""
        others_weight: float = 1.0
        """w2: weight of reconcilement with the others, less than w1; the authors use 0.25 for w1 = 1 on MOSI, MOSEI and
        SIMS."""
        memory: float = 0.5
        """α: weight of memory consolidation."""
        alternation_epochs: int = 4
        """Of a stage's first phase; BalanceBenchmark takes 1."""
        rectification_epochs: int = 4
        """Of a stage's second phase; BalanceBenchmark takes 1."""
        variant: Literal["paper", "official-code"] = "paper"
        """As published, or as released."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 0 <= self.others_weight < self.label_weight < math.inf:
                raise ConfigError(
                    "method.others_weight must not be negative and be less than label_weight, "
                    f"they are {self.others_weight} and {self.label_weight}"
                )
            if not 0 <= self.memory < math.inf:
                raise ConfigError(f"method.memory must not be negative, it is {self.memory}")
            for name, least in (("alternation_epochs", 1), ("rectification_epochs", 0)):
                if getattr(self, name) < least:
                    raise ConfigError(f"method.{name} must be at least {least}, not {getattr(self, name)}")

    options: "ReconBoost.Options"
    WITHIN = ("epoch",)

    def __init__(self, setting: Setting, options: "ReconBoost.Options") -> None:
        super().__init__(setting, options)
        self.names = list(setting.widths)
        require_several("reconboost", self.names)
        require_additive("reconboost", setting.additive)
        self.epoch = 0

    @property
    def _place(self) -> tuple[int, int]:
        """The stage, and the epoch within it."""
        return divmod(self.epoch, self.options.alternation_epochs + self.options.rectification_epochs)

    @property
    def stage(self) -> int:
        """s, from 0."""
        return self._place[0]

    @property
    def rectifies(self) -> bool:
        """Whether this epoch is of a stage's second phase."""
        return self._place[1] >= self.options.alternation_epochs

    @property
    def learner(self) -> str:
        """The modality of this stage."""
        return self.names[self.stage % len(self.names)]

    @property
    def trained_now(self) -> list[str]:
        """The modalities that this epoch trains."""
        return self._ensemble() if self.rectifies else [self.learner]

    def _ensemble(self) -> list[str]:
        return self.names if self.options.variant == "paper" else self.names[: self.stage + 1]

    def epoch_start(self, run: Run) -> None:
        """Forget the optimiser's moments as a phase begins, and let the learners that are not trained stand still."""
        assert isinstance(run.model, Classifier)
        self.epoch = run.epoch
        if self._place[1] in (0, self.options.alternation_epochs):
            run.optimizer.state.clear()
        for name in set(self.names) - set(self.trained_now):
            run.model.encoders[name].eval()

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """The terms of this epoch's phase, computed in float32; they reach the learners in training only."""
        shares = {name: share.float() for name, share in out.shares.items()}
        if self.rectifies:
            joined = torch.stack([shares[name] for name in self._ensemble()]).sum(dim=0)
            return {"task": self.classify(joined, batch.labels)}
        own = shares[self.learner].log_softmax(dim=1)
        others = [shares[name].detach() for name in self._ensemble() if name != self.learner and self.stage > 0]
        logarithms = torch.stack(others).sum(dim=0).log_softmax(dim=1) if others else None
        terms = self._reconciled(own, logarithms, batch.labels)
        if self.stage > 0:
            before = shares[self.names[(self.stage - 1) % len(self.names)]].detach().softmax(dim=1)
            terms["memory"] = self.options.memory * functional.mse_loss(own.exp(), before)
        return terms

    def _reconciled(self, own: Tensor, others: Tensor | None, labels: Tensor) -> dict[str, Tensor]:
        """The learner's terms but for memory, from log p_k and log q, `(batch, classes)` each."""
        options = self.options
        if options.variant == "official-code":
            rows = torch.arange(len(labels), device=labels.device)
            agreement = others[rows, labels].exp() if others is not None else torch.ones_like(own[:, 0])
            weights = (options.label_weight - options.others_weight * agreement) / own.shape[1]
            return {"task": -self.average(weights * own[rows, labels], labels)}
        terms = {"task": functional.nll_loss(own, labels, self.class_weights)}
        if others is not None:
            terms["reconcilement"] = -(options.others_weight / options.label_weight) * self._apart(own, others, labels)
        return terms

    def _apart(self, own: Tensor, others: Tensor, labels: Tensor) -> Tensor:
        """KL(q || p_k), averaged as the cross-entropy is: -KL has no lower bound, and outweighs it nowhere then."""
        if self.class_weights is None:
            return functional.kl_div(own, others, reduction="batchmean", log_target=True)
        return self.average(functional.kl_div(own, others, reduction="none", log_target=True).sum(dim=1), labels)

    def diagnostics(self) -> dict[str, float]:
        """The stage, from 0; the number of the modality in training, or -1 in rectification."""
        learner = -1.0 if self.rectifies else float(self.names.index(self.learner))
        return {"stage": float(self.stage), "learner": learner}
