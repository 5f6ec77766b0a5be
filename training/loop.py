"""The only epoch loop: every method, dataset and modality goes through it."""

import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import nn

from bundle.checking import one_line
from bundle.modalities import Modality
from training import catalog, checkpoint, state
from training.batch import Batch, Output
from training.closing import Closing
from training.config import Config
from training.errors import CheckpointError, ConfigError, TrainingError
from training.evaluate import Encoded, Evaluation, Scores, collect, encode, evaluate
from training.finishing import examine, settle
from training.gradients import Pulls, pulls
from training.imbalance import class_weights
from training.loading import evaluation_loader, training_loader
from training.method import Method, Run, Setting
from training.model import Classifier, build
from training.preparation import Prepared
from training.progress import console, display


@dataclass
class Progress:
    """How far a training is; saved after every epoch."""

    epoch: int = 0
    """Epochs done."""
    best_epoch: int = 0
    best_score: float = -math.inf


@dataclass(frozen=True)
class Result:
    """What a training found."""

    best_epoch: int
    validation: Evaluation
    test: Evaluation
    scores: dict[str, Scores]
    """By split, `val` and `test`: every sample's outputs."""


class Loop:
    """Trains one classifier on prepared data.

    Args:
        config: the options.
        prepared: decoded samples.
        folder: where state and weights go.
    """

    def __init__(self, config: Config, prepared: Prepared, folder: Path) -> None:
        self.config = config
        self.folder = folder
        precision = None if config.precision == "no" else config.precision
        try:
            self.accelerator = Accelerator(mixed_precision=precision, cpu=config.device == "cpu")
        except ValueError as error:
            raise ConfigError(f"precision {config.precision} cannot be had on this machine: {error}") from None
        if config.precision == "fp16" and self.accelerator.device.type == "cpu":  # it would be ignored without a word
            raise ConfigError("precision fp16 cannot be had on this machine: it needs an accelerator; bf16 does not")
        if self.accelerator.num_processes != 1:
            raise ConfigError(f"expected one process, this is one of {self.accelerator.num_processes}")
        torch.manual_seed(config.seed)
        self.model, self.method = build_parts(
            config, prepared.modalities, len(prepared.pairs.labels), class_weights(config.class_weights, prepared.pairs)
        )
        # Convolutions are up to twice as fast with it, on CPU and GPU.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = self._build_optimizer()
        loader, self.set_epoch = training_loader(config, prepared)
        self.plain = evaluation_loader(config, prepared, "train")
        self.validation = evaluation_loader(config, prepared, "val")
        self.test = evaluation_loader(config, prepared, "test")
        self.wrapped: nn.Module
        self.wrapped, self.optimizer, self.loader = self.accelerator.prepare(self.model, self.optimizer, loader)
        self.method.to(self.accelerator.device)
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []
        self._pulls = Pulls()

    def _build_optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        groups = [{"params": list(self.model.parameters())}, {"params": list(self.method.trained())}]
        groups = [group for group in groups if group["params"]]
        fused = True if self.accelerator.device.type == "cuda" else None  # every weight is read and written once a step
        if config.optimiser == "sgd":
            momentum, decay = config.momentum, config.weight_decay
            return torch.optim.SGD(groups, config.learning_rate, momentum, weight_decay=decay, fused=fused)
        return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay, fused=fused)

    def run(self) -> Result:
        """Train to the last epoch, then measure the kept weights on validation and test.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        with display() as bars:
            steps = bars.add_task("Training", total=self.config.epochs * len(self.loader))
            while self.progress.epoch < self.config.epochs:
                bars.update(steps, completed=self.progress.epoch * len(self.loader))
                losses = self._epoch(lambda: bars.advance(steps))
                console.print(f"epoch {self.progress.epoch + 1:>3}/{self.config.epochs}: {self._close_epoch(losses)}")
        if self.config.keep == "best":
            checkpoint.load_weights(self.model, self.folder / checkpoint.BEST)
        settle(self.model, self.plain, self.accelerator, learned=self.config.modality_dropout > 0)
        checkpoint.save_weights(self.model, self.folder / checkpoint.WEIGHTS)
        kept = self.progress.best_epoch if self.config.keep == "best" else self.progress.epoch
        loaders = {"val": self.validation, "test": self.test}
        scores = {
            split: examine(self.model, found, self.accelerator, self.config.seed) for split, found in loaders.items()
        }
        return Result(kept, evaluate(scores["val"]), evaluate(scores["test"]), scores)

    def _epoch(self, advance: Callable[[], None]) -> dict[str, float]:
        """One pass over the training split; returns the mean of each loss term."""
        self.set_epoch(self.progress.epoch)
        rate = learning_rate(self.config, self.progress.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.wrapped.train()
        self.method.train()
        self.method.epoch_start(
            Run(self.progress.epoch, self.config.epochs, self.model, self.optimizer, self._features)
        )
        sums: dict[str, torch.Tensor] = {}
        batch: Batch
        for batch in self.loader:
            batch = batch.to(self.accelerator.device)
            output: Output = self.wrapped(batch.inputs, batch.present)
            terms = self.method(output, batch)
            self.optimizer.zero_grad()
            if not sums:
                self._pulls = pulls(terms, self.model)
            self.method.backward(terms, self.accelerator)
            self.method.gradients(self.model)
            self.optimizer.step()
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach()
            advance()
        means = {name: float(total) / len(self.loader) for name, total in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            found = ", ".join(f"{name} {value}" for name, value in means.items())
            raise TrainingError(
                f"expected a finite loss, found {found} in epoch {self.progress.epoch + 1}; a lower --learning-rate or "
                "some --warmup may help"
            )
        return means

    def _close_epoch(self, losses: dict[str, float]) -> str:
        """Validate, keep the best weights, save the state; returns a line for people."""
        found = evaluate(collect(self.model, self.validation, self.accelerator))
        self.progress.epoch += 1
        dropout = self.config.modality_dropout
        score = found.expected(dropout) if dropout else self.method.score(found)
        if score > self.progress.best_score:
            self.progress.best_score, self.progress.best_epoch = score, self.progress.epoch
            checkpoint.save_weights(self.model, self.folder / checkpoint.BEST)
        closing = Closing(self.progress.epoch, losses, found, self.method.diagnostics(), self._pulls)
        self.history.append(closing.entry())
        checkpoint.write_json(self.folder / checkpoint.HISTORY, self.history)
        self._save()
        return closing.line(absent=dropout > 0)

    def _features(self, split: Literal["train", "val"]) -> Encoded:
        return encode(self.model, self.plain if split == "train" else self.validation, self.accelerator)

    def _save(self) -> None:
        content = {
            "progress": asdict(self.progress),
            "history": self.history,
            "model": self.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": checkpoint.random_state(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else None,
        }
        state.save(content, self.folder / checkpoint.STATE)

    def resume(self) -> None:
        """Go on exactly where the saved state ends; from the start if no epoch was finished.

        Raises:
            CheckpointError: the state is damaged, or of another training.
        """
        if not (self.folder / checkpoint.STATE).with_suffix(".json").exists():
            print("Resuming before the first epoch: none was finished", file=sys.stderr)
            return
        content = state.load(self.folder / checkpoint.STATE)
        try:
            self.model.load_state_dict(content["model"])
            self.method.load_state_dict(content["method"])
            self.optimizer.load_state_dict(content["optimizer"])
            if content["scaler"] is not None and self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(content["scaler"])
            self.progress = Progress(**content["progress"])
            self.history = content["history"]
            checkpoint.set_random_state(content["random"])
        except torch.OutOfMemoryError:  # a RuntimeError, but nothing is wrong with the state
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = one_line(error)[: checkpoint.LONGEST]
            raise CheckpointError(f"the training state in {self.folder} is of another training: {reason}") from None
        print(f"Resuming after epoch {self.progress.epoch}", file=sys.stderr)


def build_parts(
    config: Config, modalities: dict[str, Modality], classes: int, weights: tuple[float, ...] | None = None
) -> tuple[Classifier, Method]:
    """The classifier and the method of a configuration, with their first weights from torch's global generator.

    `weights` is how much the samples of each class count in the method's loss; all alike if None.

    Raises:
        ConfigError: names or options that cannot be.
    """
    model = build(config, modalities, classes)
    widths = {name: int(encoder.width) for name, encoder in model.encoders.items()}  # type: ignore[arg-type]
    additive = catalog.load("fusion", config.fusion).ADDITIVE
    setting = Setting(widths, classes, config.seed, config.learning_rate, additive, weights)
    return model, catalog.load("methods", config.method)(setting, config.method_options)


def learning_rate(config: Config, epoch: int) -> float:
    """The learning rate of an epoch (counted from 0): a linear rise over `warmup`, then cosine to 0 or constant."""
    if epoch < config.warmup:
        return config.learning_rate * (epoch + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    return (
        0.5
        * config.learning_rate
        * (1.0 + math.cos(math.pi * (epoch - config.warmup) / (config.epochs - config.warmup)))
    )
