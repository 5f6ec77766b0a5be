"""PMR: prototypical modal rebalance (Fan et al., CVPR 2023)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch, Output
from training.errors import ConfigError, require_several
from training.method import Method, Run, Setting

ROUNDING = 1e-12
"""Added under the root of a distance, whose gradient at 0 would be infinite."""


class PMR(Method):
    """Pulls the features of modalities that classify worse than the best one towards prototypes of their classes.

    The prototype c_k of a modality is the mean of its features over class k, recomputed in evaluation mode at the start
    of each epoch, c <- (1 - m) c_new + m c_old. For a batch, with d the Euclidean distance and H the entropy,

        p_u(i, k) = softmax_k(-d(z_i, c_k)),   s_u = Σ_i p_u(i, y_i),   L_u = mean_i -log p_u(i, y_i),
        L = CE + α Σ_u w_u L_u - μ Σ_u v_u mean_i H(p_u(i, ·)),
        w_u = clip(max_v s_v / s_u - 1, 0, 1),   v_u = clip(s_u / min_v s_v - 1, 0, 1),

    the entropy in the first epochs only. s, w and v are constants to the gradient, and so are the prototypes. With two
    modalities w and v are the paper's, of ρ = s_1 / s_2; with more, the worse ones are pulled by their distance to the
    best, and the better ones are kept open by their distance to the worst.

    Variants: "paper" is the above. "official-code" is what was released: w_u = 1 for every modality but the best, no
    entropy term, and the second computation of the prototypes replaces the first whatever m is.

    Not reproduced: prototypes from the validation split (AVE) or the test split (CG-MNIST), from a tenth of the
    augmented batches (the others), division by zero for a class that was not met, and infinite gradients at distance 0.
    Here they come from all training samples, without augmentation.
    """

    @dataclass(frozen=True)
    class Options:
        """The released commands' values; μ and its epochs are ours, since nothing released has them."""

        alpha: float = 2.0
        """α: weight of the prototype loss; the authors use 3 with gated and FiLM fusion."""
        momentum: float = 0.0
        """m: share of the old prototypes that is kept."""
        entropy: float = 0.1
        """μ: weight of the entropy of the better modalities' predictions; of variant "paper"."""
        entropy_epochs: int = 10
        """In how many epochs from first_epoch on the entropy counts."""
        first_epoch: int = 0
        """The first epoch with rebalancing, counted from 0."""
        last_epoch: int = 70
        """The last epoch with rebalancing; then training is joint."""
        variant: Literal["paper", "official-code"] = "paper"
        """As published, or as released."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 0 <= self.alpha < math.inf or not 0 <= self.entropy < math.inf or self.entropy_epochs < 0:
                raise ConfigError("method.alpha, method.entropy and method.entropy_epochs must not be negative")
            if not 0 <= self.momentum < 1:
                raise ConfigError(f"method.momentum must be from 0 up to, not including, 1, not {self.momentum}")
            if not 0 <= self.first_epoch <= self.last_epoch:
                raise ConfigError(
                    f"method.first_epoch must be from 0 to last_epoch, {self.last_epoch}, not {self.first_epoch}"
                )

    options: "PMR.Options"
    WITHIN = ("epoch", "_noted")
    computed: Tensor

    def __init__(self, setting: Setting, options: "PMR.Options") -> None:
        super().__init__(setting, options)
        require_several("pmr", setting.widths)
        for name, width in setting.widths.items():
            self.register_buffer(f"prototypes_{name}", torch.zeros(setting.classes, width))
        self.register_buffer("computed", torch.zeros((), dtype=torch.long))
        self.epoch = -1
        self._noted: list[Tensor] = []

    def prototypes(self, modality: str) -> Tensor:
        """`(classes, width)`."""
        return self.get_buffer(f"prototypes_{modality}")

    @property
    def active(self) -> bool:
        """Whether this epoch is rebalanced."""
        return self.options.first_epoch <= self.epoch <= self.options.last_epoch

    def epoch_start(self, run: Run) -> None:
        """Compute the prototypes of an epoch that is rebalanced."""
        self.epoch = run.epoch
        if not self.active:
            return
        found = run.features("train")
        replaced = 2 if self.options.variant == "official-code" else 1
        momentum = self.options.momentum if int(self.computed) >= replaced else 0.0
        member = functional.one_hot(found.labels, self.setting.classes).float()
        counts = member.sum(dim=0)[:, None]
        for name, values in found.features.items():
            kept = self.prototypes(name)
            means = (member.T @ values / counts.clamp(min=1.0)).to(kept.device)
            kept.copy_(torch.where(counts.to(kept.device) > 0, (1.0 - momentum) * means + momentum * kept, kept))
        self.computed += 1

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """The task's cross-entropy; in the window, each modality's weighted prototype loss and entropy, in float32."""
        terms = {"task": self.classify(out.logits, batch.labels)}
        if not self.active:
            return terms
        predicted = {name: self._predict(name, values) for name, values in out.features.items()}
        weak, strong = self._weights(torch.stack(list(predicted.values())).detach(), batch.labels)
        self._noted.append(weak)
        for weight, (name, logarithms) in zip(weak, predicted.items(), strict=True):
            prototype = functional.nll_loss(logarithms, batch.labels, self.class_weights)
            terms[f"prototype_{name}"] = self.options.alpha * weight * prototype
        early = self.epoch - self.options.first_epoch < self.options.entropy_epochs
        if early and self.options.variant == "paper":
            for weight, (name, logarithms) in zip(strong, predicted.items(), strict=True):
                entropy = -(logarithms.exp() * logarithms).sum(dim=1).mean()
                terms[f"entropy_{name}"] = -self.options.entropy * weight * entropy
        return terms

    def _predict(self, modality: str, features: Tensor) -> Tensor:
        """log p_u, `(batch, classes)`."""
        apart = features.float()[:, None] - self.prototypes(modality)
        return (-(apart.square().sum(dim=2) + ROUNDING).sqrt()).log_softmax(dim=1)

    def _weights(self, logarithms: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """w and v, `(modalities,)` each, of log p `(modalities, batch, classes)`."""
        rows = torch.arange(len(labels), device=labels.device)
        scores = logarithms.exp()[:, rows, labels].sum(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        if self.options.variant == "official-code":
            return (scores < scores.max()).float(), torch.zeros_like(scores)
        return (scores.max() / scores - 1).clamp(0, 1), (scores / scores.min() - 1).clamp(0, 1)

    def diagnostics(self) -> dict[str, float]:
        """Each modality's mean weight w over the epoch; nothing outside the window."""
        noted, self._noted = self._noted, []
        if not noted:
            return {}
        means = torch.stack(noted).mean(dim=0).tolist()
        return {f"prototype_weight_{name}": mean for name, mean in zip(self.setting.widths, means, strict=True)}
