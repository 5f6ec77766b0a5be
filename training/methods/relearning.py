"""D&R: diagnosing and re-learning, a soft return of overfitted encoders to where they began (Wei et al., ECCV 2024)."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batch import Batch, Output
from training.clustering import Points, kmeans, squared_distances
from training.errors import ConfigError
from training.method import Method, Run, Setting
from training.model import Classifier
from training.progress import console


class Relearning(Method):
    """Joint training, interrupted a few times to take each encoder back towards its first weights.

    Diagnosis, for each modality u and each split S of training and validation: the features of S, in evaluation mode,
    are scaled to [-1, 1] dimension by dimension over S and clustered by k-means into as many clusters as there are
    classes; the purity P_S is the share of samples whose class is the most frequent one of their cluster. Then

        g_u = |P_train - P_val|,   w_u = tanh(λ g_u),   θ_u <- w_u θ_u(0) + (1 - w_u) θ_u

    for every parameter of the encoder of u, θ_u(0) being its value before the first step: random, or pretrained. The
    running statistics of batch normalisation, the fusion and the optimiser's state stay. Shares are not looked at, so
    every fusion will do, and each modality is diagnosed by itself, so any number of them.

    Variants: "paper" interrupts after `every`, 2 `every`, … epochs. "official-code" does so one epoch later: it counts
    from 0 and diagnoses at the end of an epoch. With `every` at least the number of epochs this is joint training, bit
    for bit: for 20 epochs, say, set `every` to 5. The authors train for 90, with a constant learning rate; the loop's
    cosine leaves the later returns less to relearn with (`--schedule constant`).

    Not reproduced: the best epoch by the test split, and training without augmentation, which the code does since its
    split has another name than the one its loader looks for (`--augment.no-enabled` has the same effect). k-means is
    the one of `training/clustering.py`, best of a few starts and the same each time.
    """

    @dataclass(frozen=True)
    class Options:
        """The released code's values, of CREMA-D."""

        strength: float = 3.0
        """λ: how far a difference in purity takes an encoder back."""
        every: int = 20
        """Epochs between two diagnoses; BalanceBenchmark takes 15."""
        times: int = 3
        """How many diagnoses at most; BalanceBenchmark takes 2."""
        variant: Literal["paper", "official-code"] = "paper"
        """Whether a diagnosis comes after `every` epochs, or one later."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 0 <= self.strength < math.inf:
                raise ConfigError(f"method.strength must not be negative, it is {self.strength}")
            for name, least in (("every", 1), ("times", 0)):
                if getattr(self, name) < least:
                    raise ConfigError(f"method.{name} must be at least {least}, not {getattr(self, name)}")

    options: "Relearning.Options"
    WITHIN = ("_noted",)

    def __init__(self, setting: Setting, options: "Relearning.Options") -> None:
        super().__init__(setting, options)
        self._initial: dict[str, dict[str, Tensor]] = {}
        self._noted: dict[str, float] = {}

    def due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, starts with a diagnosis."""
        passed = epoch - 1 if self.options.variant == "official-code" else epoch
        return 0 < passed <= self.options.every * self.options.times and passed % self.options.every == 0

    def epoch_start(self, run: Run) -> None:
        """Before the first epoch keep the encoders' parameters; when it is time, diagnose and take them back.

        Raises:
            ConfigError: the validation split is too small for as many clusters as there are classes.
        """
        assert isinstance(run.model, Classifier)
        if not self._initial:
            self._check(run)
            self._initial = {
                name: {key: parameter.detach().cpu().clone() for key, parameter in encoder.named_parameters()}
                for name, encoder in run.model.encoders.items()
            }
        if self.due(run.epoch):
            self._relearn(run.model, self.diagnose(run))

    def _check(self, run: Run) -> None:
        """Now, not after twenty epochs; of the training split every class has samples."""
        if any(self.due(epoch) for epoch in range(run.epochs)):
            count, classes = len(run.features("val").labels), self.setting.classes
            if count < classes:
                raise ConfigError(
                    f"relearning needs a validation sample for each of the {classes} classes, there are {count}"
                )
        else:
            console.print(
                f"no diagnosis falls within {run.epochs} epochs, so this is joint training: lower --method.every",
                markup=False,
            )

    def diagnose(self, run: Run) -> dict[str, float]:
        """w_u by modality, from 0 to 1."""
        train, validation = run.features("train"), run.features("val")
        weights = {}
        for number, name in enumerate(self.setting.widths):
            purities = [
                purity(
                    scaled(found.features[name]),
                    found.labels.numpy(),
                    self.setting.classes,
                    np.random.default_rng((self.setting.seed, run.epoch, number, split)),
                )
                for split, found in enumerate((train, validation))
            ]
            weights[name] = math.tanh(self.options.strength * abs(purities[0] - purities[1]))
            self._noted[f"purity_train_{name}"], self._noted[f"purity_val_{name}"] = purities
            self._noted[f"relearning_{name}"] = weights[name]
        return weights

    @torch.no_grad()
    def _relearn(self, model: Classifier, weights: dict[str, float]) -> None:
        for name, weight in weights.items():
            for key, parameter in model.encoders[name].named_parameters():
                parameter.lerp_(self._initial[name][key].to(parameter.device), weight)

    def loss(self, out: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the fused logits."""
        return {"task": self.classify(out.logits, batch.labels)}

    def diagnostics(self) -> dict[str, float]:
        """Of an epoch that started with a diagnosis, each modality's purities and its weight w; else nothing."""
        noted, self._noted = self._noted, {}
        return noted

    def get_extra_state(self) -> dict[str, Any]:
        """The encoders' first parameters, for exact resumption."""
        return {"initial": self._initial}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` gave."""
        self._initial = state["initial"]


def scaled(features: Tensor) -> Points:
    """`(samples, width)`, each dimension from -1 to 1; one that is the same for all samples becomes -1."""
    values = features.nan_to_num().double()
    low, high = values.amin(dim=0), values.amax(dim=0)
    spread = torch.where(high > low, high - low, 1.0)
    found: Points = (2.0 * (values - low) / spread - 1.0).float().numpy()
    return found


def purity(points: Points, labels: NDArray[np.int64], classes: int, generator: np.random.Generator) -> float:
    """The share of samples, 0..1, that are of the most frequent class of their k-means cluster.

    Args:
        points: `(samples, width)`.
        labels: `(samples,)`, from 0.
        classes: how many there are, and how many clusters.
        generator: starts k-means.
    """
    nearest = squared_distances(points, kmeans(points, classes, generator)).argmin(axis=1)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (nearest, labels), 1)
    return float(counts.max(axis=1).sum() / len(labels))
