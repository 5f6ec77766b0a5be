"""OGM-GE: on-the-fly gradient modulation with generalisation enhancement (Peng et al., CVPR 2022)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from training.batch import Batch, Output
from training.errors import ConfigError, require_several
from training.method import Method, Run, Setting
from training.model import Classifier


class OGMGE(Method):
    """Slows the encoders of modalities that predict better than the weakest, and adds noise to all of them.

    After the backward pass of the joint cross-entropy, for each modality u with its share f_u of the logits,

        s_u = Σ_i softmax(f_u(x_i))[y_i],   ρ_u = s_u / min_v s_v,
        k_u = 1 - tanh(α relu(ρ_u)) if ρ_u > 1, else 1,
        grad <- k_u grad + ε,   ε ~ N(0, std(grad)² I), std over the entries of the unmodulated gradient, + 1e-8,

    tensor by tensor in the encoder of u. With two modalities ρ is the paper's ratio; with more, each is compared with
    the weakest, which alone keeps its speed. The head is never touched. k is not continuous: just above ρ = 1 it is
    1 - tanh(α).

    Variants: both act on the convolution kernels, gradients with four axes, as the released code. An encoder that has
    none (of text, of genomics) is modulated whole by "paper", whose equations speak of all parameters of an encoder,
    and left alone by "official-code". The paper derives the noise from the covariance of the gradient over batches;
    its code, and this, takes one standard deviation from each tensor.

    Not reproduced: the code finds parameters by parts of their names and cuts the head's weight in two, which fails
    for fusions other than sum and concatenation. Here both come from the classifier's structure.
    """

    @dataclass(frozen=True)
    class Options:
        """The released code's values for CREMA-D."""

        alpha: float = 0.8
        """α: how strongly a better modality is slowed; the authors use 0.1 on VGGSound."""
        noise: bool = True
        """GE: add noise, to every modality, whether it is slowed or not."""
        first_epoch: int = 0
        """The first epoch with modulation, counted from 0."""
        last_epoch: int = 50
        """The last epoch with modulation; then training is joint."""
        variant: Literal["paper", "official-code"] = "paper"
        """Whether encoders without any convolution are modulated too."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 0 <= self.alpha < math.inf:
                raise ConfigError(f"method.alpha must not be negative, it is {self.alpha}")
            if not 0 <= self.first_epoch <= self.last_epoch:
                raise ConfigError(
                    f"method.first_epoch must be from 0 to last_epoch, {self.last_epoch}, not {self.first_epoch}"
                )

    options: "OGMGE.Options"
    WITHIN = ("active", "_coefficients", "_noted")

    def __init__(self, setting: Setting, options: "OGMGE.Options") -> None:
        super().__init__(setting, options)
        require_several("ogm_ge", setting.widths)
        self.generator = torch.Generator().manual_seed(setting.seed + 1)
        self.active = options.first_epoch == 0
        self._coefficients: dict[str, Tensor] = {}
        self._noted: list[Tensor] = []

    def epoch_start(self, run: Run) -> None:
        """Modulate within the window, both ends included."""
        self.active = self.options.first_epoch <= run.epoch <= self.options.last_epoch

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the fused logits; notes how well each modality does."""
        self._coefficients = self.coefficients(out, batch)
        return {"task": self.classify(out.logits, batch.labels)}

    @torch.no_grad()
    def coefficients(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """k_u by modality, scalars from 0 to 1."""
        rows = torch.arange(len(batch.labels), device=batch.labels.device)
        shares = torch.stack(list(out.shares.values())).float()
        scores = shares.softmax(dim=2)[:, rows, batch.labels].sum(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        ratios = scores / scores.min()
        slowed = torch.where(ratios > 1, 1 - torch.tanh(self.options.alpha * ratios), 1.0)
        return dict(zip(out.shares, slowed.unbind(), strict=True))

    @torch.no_grad()
    def gradients(self, model: Classifier) -> None:
        """Scale the encoders' gradients and add noise, within the window."""
        if not self.active:
            return
        self._noted.append(torch.stack(list(self._coefficients.values())))
        # Drawn where the gradients are, from a seed that the saved generator decides.
        seed = int(torch.randint(2**62, (), generator=self.generator))
        sources: dict[torch.device, torch.Generator] = {}
        for name, coefficient in self._coefficients.items():
            for gradient in self._modulated(model.encoders[name]):
                device = gradient.device
                if device not in sources:
                    sources[device] = torch.Generator(device).manual_seed(seed)
                spread = gradient.std() + 1e-8 if gradient.numel() > 1 else 0.0
                gradient.mul_(coefficient)
                if self.options.noise:
                    drawn = torch.randn(gradient.shape, generator=sources[device], device=device, dtype=gradient.dtype)
                    gradient.add_(drawn * spread)

    def _modulated(self, encoder: torch.nn.Module) -> list[Tensor]:
        """The gradients of one encoder that are modulated."""
        found = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
        kernels = [gradient for gradient in found if gradient.dim() == 4]
        return found if not kernels and self.options.variant == "paper" else kernels

    def diagnostics(self) -> dict[str, float]:
        """Each modality's mean coefficient k over the epoch; nothing outside the window."""
        noted, self._noted = self._noted, []
        if not noted:
            return {}
        means = torch.stack(noted).mean(dim=0).tolist()
        return {f"coefficient_{name}": mean for name, mean in zip(self._coefficients, means, strict=True)}

    def get_extra_state(self) -> dict[str, Tensor]:
        """The noise's random state, for exact resumption."""
        return {"generator": self.generator.get_state()}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `get_extra_state` gave."""
        self.generator.set_state(state["generator"].cpu())
