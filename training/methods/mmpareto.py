"""MMPareto: joint and unimodal gradients integrated by Pareto weights (Wei and Hu, ICML 2024)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.batch import Batch, Output
from training.errors import ConfigError, require_several
from training.method import Method, Setting
from training.model import Classifier


class MMPareto(Method):
    """Gives each encoder the direction that serves both the fused prediction and its modality's own.

    Each modality has a head of its own beside the fusion. Over all parameters of the encoder of u, with g_1 the
    gradient of the fused cross-entropy, g_2 that of its own, and g = g_1 + g_2,

        k = (1/2, 1/2) if <g_1, g_2> > 0, else the k >= 0 with k_1 + k_2 = 1 that minimises |k_1 g_1 + k_2 g_2|:
        k_1 = (<g_2, g_2> - <g_1, g_2>) / <g_1 - g_2, g_1 - g_2>,
        n = 2 k_1 g_1 + 2 k_2 g_2,   grad <- γ max(|g| / |n|, 1) n.

    Without conflict that is γ g. Fusion and heads get the plain gradient of the sum. Two objectives meet in each
    encoder however many modalities there are, so nothing changes with three.

    Variants: "paper" takes |g| / |n| over the whole encoder; "official-code" tensor by tensor, which changes the
    direction too. Where a gradient vanishes there is no conflict. The released solver's bounds of 0.001 and 0.999 on k
    are left out: they bind only for gradients that do not conflict, whose k is 1/2. The scheduler that is built there
    and never stepped is not a part of the method.
    """

    @dataclass(frozen=True)
    class Options:
        """The released code's values."""

        gamma: float = 1.5
        """γ: by how much the integrated gradients are lengthened."""
        variant: Literal["paper", "official-code"] = "paper"
        """Length restored for each encoder, or for each of its tensors."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 0 < self.gamma < math.inf:
                raise ConfigError(f"method.gamma must be positive, it is {self.gamma}")

    options: "MMPareto.Options"
    WITHIN = ("_conflicts",)

    def __init__(self, setting: Setting, options: "MMPareto.Options") -> None:
        super().__init__(setting, options)
        require_several("mmpareto", setting.widths)
        with torch.random.fork_rng(devices=[]):  # the heads' initial weights must not shift anyone else's numbers
            torch.default_generator.manual_seed(setting.seed + 2)
            self.heads = nn.ModuleDict(
                {name: nn.Linear(width, setting.classes) for name, width in setting.widths.items()}
            )
        self._terms: dict[str, Tensor] = {}
        self._conflicts: list[Tensor] = []

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the fused logits and of each modality's own head, those in float32."""
        terms = {"task": self.classify(out.logits, batch.labels)}
        with torch.autocast(batch.labels.device.type, enabled=False):
            for name, head in self.heads.items():
                terms[name] = self.classify(head(out.features[name].float()), batch.labels)
        return terms

    def backward(self, terms: dict[str, Tensor], accelerator: Accelerator) -> None:
        """The gradient of the sum; keeps the terms, scaled alike, so that they can be told apart.

        Of a batch in parts their sums are kept, with all graphs: it takes the memory of an undivided one.
        """
        scaler = accelerator.scaler
        for name, term in terms.items():
            scaled = term if scaler is None else scaler.scale(term)
            self._terms[name] = self._terms[name] + scaled if name in self._terms else scaled
        accelerator.backward(sum(terms.values()), retain_graph=True)

    def gradients(self, model: Classifier) -> None:
        """Replace the encoders' gradients by the integrated ones."""
        terms, self._terms = self._terms, {}
        parameters = {
            name: [parameter for parameter in model.encoders[name].parameters() if parameter.grad is not None]
            for name in self.heads
        }
        parameters = {name: found for name, found in parameters.items() if found}  # an encoder may be frozen
        if not parameters:
            return
        own = {name: _gradients(terms[name], found, keep=True) for name, found in parameters.items()}
        every = [parameter for found in parameters.values() for parameter in found]
        joint = iter(_gradients(terms["task"], every, keep=False))  # the last use of the graph frees it
        conflicts = []
        for name, found in parameters.items():
            fused = [next(joint) for _ in found]
            weight, conflict = pareto_weight(fused, own[name])
            conflicts.append(conflict)
            self._replace(found, fused, own[name], weight)
        self._conflicts.append(torch.stack(conflicts).float().mean())

    @torch.no_grad()
    def _replace(
        self, parameters: list[nn.Parameter], fused: Sequence[Tensor], own: Sequence[Tensor], weight: Tensor
    ) -> None:
        """Write γ max(|g| / |n|, 1) n into the gradients g."""
        before = [parameter.grad for parameter in parameters if parameter.grad is not None]
        after = [2 * weight * one + 2 * (1 - weight) * two for one, two in zip(fused, own, strict=True)]
        if self.options.variant == "paper":
            factors = [_stretch(before, after)] * len(after)
        else:
            factors = [_stretch([old], [new]) for old, new in zip(before, after, strict=True)]
        for old, new, factor in zip(before, after, factors, strict=True):
            old.copy_(self.options.gamma * factor * new)

    def diagnostics(self) -> dict[str, float]:
        """In what share of the epoch's steps and encoders the two gradients did conflict."""
        conflicts, self._conflicts = self._conflicts, []
        return {"conflict": float(torch.stack(conflicts).mean())} if conflicts else {}


def pareto_weight(first: Sequence[Tensor], second: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """k_1, and whether the gradients conflict; scalars, of gradients given tensor by tensor."""
    one, two, both = _product(first, first), _product(second, second), _product(first, second)
    conflict = (both <= 0) & (one > 0) & (two > 0)
    apart = torch.where(conflict, one + two - 2 * both, 1.0)
    return torch.where(conflict, (two - both) / apart, 0.5), conflict


def _gradients(term: Tensor, parameters: Sequence[nn.Parameter], keep: bool) -> tuple[Tensor, ...]:
    return torch.autograd.grad(term, parameters, retain_graph=keep, materialize_grads=True)


def _product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    return torch.stack([(one * two).sum() for one, two in zip(first, second, strict=True)]).sum()


def _stretch(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """max(|before| / |after|, 1), and 1 where there is nothing to stretch."""
    old, new = _product(before, before).sqrt(), _product(after, after).sqrt()
    return torch.where(new > 0, old / new, 1.0).clamp(min=1.0)
