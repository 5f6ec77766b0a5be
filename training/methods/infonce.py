"""InfoNCE: cross-entropy plus symmetric contrastive estimation between the modalities, without context."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.batch import Batch, Output
from training.critics import Pair
from training.errors import ConfigError, require_several
from training.memory import Memory
from training.method import Method, Setting


class InfoNCE(Method):
    """Tells each sample's true partner in the other modality from other samples' (van den Oord et al. 2018).

    With unit projections u of z1 and v of z2, s_ij = <u_i, v_j> / τ and N_i the partners that sample i may be shown,

        L_12 = mean_i -log( exp s_ii / (exp s_ii + Σ_{j in N_i} exp s_ij) ),   L = CE + α (L_12 + L_21) / 2,

    the last averaged over all pairs of modalities. There is no T: partners of any class are false ones, which is what
    InfoBridge is compared with. Samples of one group are near-duplicates and never in each other's N_i.
    """

    @dataclass(frozen=True)
    class Options:
        """The usual values."""

        alpha: float = 0.1
        """α: weight of the contrastive loss."""
        temperature: float = 0.07
        """τ, which divides the similarities."""
        dimensions: int = 128
        """Width of the projections."""
        memory: int = 0
        """Past projections that are false partners too, such as 1024; 0 takes those of the batch alone."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if self.dimensions < 1 or self.memory < 0:
                raise ConfigError("method.dimensions must be at least 1, and method.memory not negative")
            if not 0 <= self.alpha < math.inf or not 0 < self.temperature < math.inf:
                raise ConfigError("method.alpha must not be negative, and method.temperature must be positive")

    options: "InfoNCE.Options"
    WITHIN = ("_bounds",)

    def __init__(self, setting: Setting, options: "InfoNCE.Options") -> None:
        super().__init__(setting, options)
        names = list(setting.widths)
        require_several("infonce", names)
        self.pairs: list[Pair] = list(itertools.combinations(names, 2))
        with torch.random.fork_rng(devices=[]):  # the projections' initial weights must not shift anyone else's numbers
            torch.default_generator.manual_seed(setting.seed + 2)
            self.projections = nn.ModuleDict(
                {name: nn.Linear(width, options.dimensions) for name, width in setting.widths.items()}
            )
        self.memory = Memory(options.memory, options.dimensions, names) if options.memory else None
        self._bounds: list[Tensor] = []

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """The task's cross-entropy, and α times the contrastive loss, computed in float32."""
        task = self.classify(out.logits, batch.labels)
        with torch.autocast(batch.labels.device.type, enabled=False):
            projected = {
                name: functional.normalize(projection(out.features[name].float()), dim=-1)
                for name, projection in self.projections.items()
            }
            directions = [way for pair in self.pairs for way in (pair, pair[::-1])]
            allowed = self._allowed(batch)
            contrast = torch.stack([self._direction(projected, way, allowed) for way in directions]).mean()
        if self.memory is not None and self.training:
            self.memory.push(projected, batch.labels, batch.samples, batch.groups)
        candidates = allowed.sum(dim=1).float()
        self._bounds.append((candidates.log().mean() - contrast).detach())
        return {"task": task, "information": self.options.alpha * contrast}

    def _allowed(self, batch: Batch) -> Tensor:
        """`(batch, batch + memory)`: whom each sample is shown, its true partner on the diagonal among them."""
        others = batch.groups[:, None] != batch.groups
        allowed = others | torch.eye(len(others), dtype=torch.bool, device=others.device)
        if self.memory is None:
            return allowed
        past = self.memory.candidates(batch.labels, batch.samples, batch.groups, "any")
        return torch.cat([allowed, past], dim=1)

    def _direction(self, projected: dict[str, Tensor], way: Pair, allowed: Tensor) -> Tensor:
        """L_12 for `way` = (1, 2), a scalar."""
        anchors, partners = projected[way[0]], projected[way[1]]
        if self.memory is not None:
            partners = torch.cat([partners, self.memory.projections(way[1]).clone()])  # `push` will overwrite it
        scores = (anchors @ partners.T / self.options.temperature).masked_fill(~allowed, -math.inf)
        return functional.cross_entropy(scores, torch.arange(len(anchors), device=anchors.device))

    def diagnostics(self) -> dict[str, float]:
        """The bound log N - L on I(z1; z2) in nats, N the partners shown, as the mean over batches and pairs."""
        bounds, self._bounds = self._bounds, []
        return {"information_bound": float(torch.stack(bounds).mean())} if bounds else {}
