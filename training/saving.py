"""Saving a training as it goes, and going on exactly where it was saved."""

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from bundle.checking import one_line
from training import checkpoint, state
from training.errors import CheckpointError


@dataclass
class Progress:
    """How far a training is; saved after every epoch."""

    epoch: int = 0
    """Epochs done."""
    best_epoch: int = 0
    best_score: float = -math.inf


class Saving:
    """The state of one training in its folder.

    Args:
        folder: of the run.
        model: the classifier.
        method: its critics, buffers and random generators are saved like weights.
        optimizer: of both.
        accelerator: for the scaler of mixed precision.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        method: nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
    ) -> None:
        self.folder = folder
        self.model = model
        self.method = method
        self.optimizer = optimizer
        self.accelerator = accelerator

    def save(self, progress: Progress, history: list[dict[str, Any]]) -> None:
        """Write everything that decides how the training goes on."""
        content = {
            "progress": asdict(progress),
            "history": history,
            "model": self.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": checkpoint.random_state(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else None,
        }
        state.save(content, self.folder / checkpoint.STATE)

    def resume(self) -> tuple[Progress, list[dict[str, Any]]]:
        """Bring back what was saved last; progress and history are those of the start if no epoch was finished.

        Raises:
            CheckpointError: the state is damaged, or of another training.
        """
        if not (self.folder / checkpoint.STATE).with_suffix(".json").exists():
            self._say("Resuming before the first epoch: none was finished")
            return Progress(), []
        content = state.load(self.folder / checkpoint.STATE)
        try:
            self.model.load_state_dict(content["model"])
            self.method.load_state_dict(content["method"])
            self.optimizer.load_state_dict(content["optimizer"])
            if content["scaler"] is not None and self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(content["scaler"])
            progress = Progress(**content["progress"])
            history: list[dict[str, Any]] = content["history"]
            checkpoint.set_random_state(content["random"])
        except torch.OutOfMemoryError:  # a RuntimeError, but nothing is wrong with the state
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = one_line(error)[: checkpoint.LONGEST]
            raise CheckpointError(f"the training state in {self.folder} is of another training: {reason}") from None
        self._say(f"Resuming after epoch {progress.epoch}")
        return progress, history

    def _say(self, line: str) -> None:
        if self.accelerator.is_main_process:
            print(line, file=sys.stderr)
