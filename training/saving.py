"""Saving a training as it goes, within its epochs too, and going on exactly where it was saved."""

import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from bundle.checking import one_line
from training import checkpoint, randomness, state
from training.errors import CheckpointError
from training.gradients import Pulls
from training.stepping import Parts

NOTHING_SAVED = "before the first epoch: nothing was saved"


@dataclass
class Progress:
    """How far a training is."""

    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Batches done of the epoch that is under way."""
    best_epoch: int = 0
    best_score: float = -math.inf
    losses: dict[str, Tensor] = field(default_factory=dict)
    """By term, the sum over those batches."""
    pulls: Pulls = field(default_factory=Pulls)
    """Of the first of them."""


class Saving:
    """The state of one training in its folder.

    Of several processes the main one saves, and all resume from that: what they hold is the same.

    Args:
        folder: of the run.
        parts: the classifier and the method, whose critics, buffers and random generators are saved like weights.
        optimizer: of both.
        accelerator: for the scaler of mixed precision.
        minutes: between two savings within an epoch.
    """

    def __init__(
        self,
        folder: Path,
        parts: Parts,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        minutes: float,
    ) -> None:
        self.folder = folder
        self.model, self.method = parts.model, parts.method
        self.optimizer = optimizer
        self.accelerator = accelerator
        self.minutes = minutes
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to save within an epoch."""
        return time.monotonic() - self._saved >= 60 * self.minutes

    def save(self, progress: Progress, history: list[dict[str, Any]]) -> None:
        """Write everything that decides how the training goes on."""
        model, method, scaler = self.model, self.method, self.accelerator.scaler
        content = {
            "progress": asdict(progress),
            "history": history,
            "model": model.state_dict(),
            "method": method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": randomness.random_state(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "within": {name: getattr(method, name) for name in method.WITHIN},
            "evaluating": [name for name, module in model.named_modules() if not module.training],
        }
        state.save(content, self.folder / checkpoint.STATE)
        self._saved = time.monotonic()

    def resume(self) -> tuple[Progress, list[dict[str, Any]]]:
        """Bring back what was saved last; progress and history are those of the start if nothing was.

        Raises:
            CheckpointError: the state is damaged, or of another training.
        """
        if not (self.folder / checkpoint.STATE).with_suffix(".json").exists():
            self._say(f"Resuming {NOTHING_SAVED}")
            return Progress(), []
        content = state.load(self.folder / checkpoint.STATE)
        try:
            self._restore(content)
            progress = Progress(**content["progress"] | {"pulls": Pulls(**content["progress"]["pulls"])})
            progress.losses = _moved(progress.losses, self.accelerator.device)
            history: list[dict[str, Any]] = content["history"]
        except torch.OutOfMemoryError:  # a RuntimeError, but nothing is wrong with the state
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = one_line(error)[: checkpoint.LONGEST]
            raise CheckpointError(f"the training state in {self.folder} is of another training: {reason}") from None
        within = f", {progress.step} batches into the next" if progress.step else ""
        self._say(f"Resuming after epoch {progress.epoch}{within}")
        return progress, history

    def _say(self, line: str) -> None:
        if self.accelerator.is_main_process:
            print(line, file=sys.stderr)

    def _restore(self, content: dict[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.method.load_state_dict(content["method"])
        self.optimizer.load_state_dict(content["optimizer"])
        for parameter, kept in self.optimizer.state.items():
            for name, value in kept.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:  # laid out in memory as it was
                    kept[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        if content["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        for name in self.method.WITHIN:
            setattr(self.method, name, _moved(content["within"][name], self.accelerator.device))
        still = set(content["evaluating"])
        for name, module in self.model.named_modules():
            module.training = name not in still
        randomness.set_random_state(content["random"])


def _moved(value: Any, device: torch.device) -> Any:
    """A nested value with its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(entry, device) for name, entry in value.items()}
    return [_moved(entry, device) for entry in value] if isinstance(value, list) else value
