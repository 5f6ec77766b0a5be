"""What an epoch found: its entry in history.json, and its line for people, in which imbalance can be seen."""

from dataclasses import asdict, dataclass
from typing import Any

from training.evaluate import Evaluation
from training.gradients import Pulls
from training.measures.gains import without

SHOWN = "information"
"""The one diagnostic of a method that the line shows."""


@dataclass(frozen=True)
class Closing:
    """One epoch, measured."""

    epoch: int
    """From 1."""
    losses: dict[str, float]
    """By term, the mean over the epoch's batches."""
    validation: Evaluation
    diagnostics: dict[str, float]
    """Of the method."""
    pulls: Pulls
    """Of the epoch's first batch."""

    def entry(self) -> dict[str, Any]:
        """For history.json."""
        found = {"epoch": self.epoch, "loss": self.losses, "validation": asdict(self.validation), **self.diagnostics}
        return {**found, "gradient_norms": self.pulls.terms, "gradient_shares": self.pulls.shares}

    def line(self, absent: bool) -> str:
        """For people: loss, accuracies, the estimated information, and each modality's share of the gradient.

        Args:
            absent: whether modalities are left out in training, so that the accuracy without each belongs here.
        """
        found, names = self.validation, list(self.validation.modality_accuracy)
        own = ", ".join(f"{name} {value:.2f}" for name, value in found.modality_accuracy.items())
        parts = [f"loss {sum(self.losses.values()):.3f}", f"val {found.accuracy:.3f} ({own})"]
        if absent and found.coalition_accuracy:
            parts += [f"without {name} {found.coalition_accuracy[without(name, names)]:.2f}" for name in names]
        if SHOWN in self.diagnostics:
            parts.append(f"{SHOWN} {self.diagnostics[SHOWN]:.2f}")
        if self.pulls.shares:
            parts.append("gradient " + " / ".join(f"{name} {value:.0%}" for name, value in self.pulls.shares.items()))
        return ", ".join(parts)
