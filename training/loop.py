"""The only epoch loop: every method, dataset and modality goes through it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from bundle.modalities import Modality
from training import catalog, checkpoint, distributed
from training.batch import Batch
from training.closing import Closing
from training.config import Config
from training.errors import TrainingError
from training.evaluate import Encoded, Evaluation, Scores, collect, encode, evaluate
from training.finishing import examine, settle
from training.imbalance import class_weights
from training.loading import evaluation_loader, training_loader
from training.method import Method, Run, Setting
from training.model import Classifier, build
from training.preparation import Prepared
from training.progress import console, display
from training.randomness import seed
from training.saving import Progress, Saving
from training.schedule import learning_rate
from training.stepping import Parts, Stepping
from training.tracking import Tracking


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
        self.accelerator = distributed.start(config)
        seed(config.seed)
        self.model, self.method = build_parts(
            config, prepared.modalities, len(prepared.pairs.labels), class_weights(config.class_weights, prepared.pairs)
        )
        # Convolutions are up to twice as fast with it, on CPU and GPU.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parts = Parts(self.model, self.method)
        self.stepping = Stepping(parts, self.accelerator, config)
        self.optimizer = self._build_optimizer()
        self.loader: Any
        self.loader, self.set_epoch = training_loader(config, prepared)
        self.plain = evaluation_loader(config, prepared, "train")
        self.validation = evaluation_loader(config, prepared, "val", lasting=True)
        self.test = evaluation_loader(config, prepared, "test")
        self.model = self.accelerator.prepare_model(self.model, evaluation_mode=True)  # no wrapper: see `Stepping`
        self.optimizer = self.accelerator.prepare_optimizer(self.optimizer)
        self.method.to(self.accelerator.device)
        distributed.agree(self.model, self.method)
        self.saving = Saving(folder, parts, self.optimizer, self.accelerator, config.save_minutes)
        self.tracking = Tracking(self.accelerator, config, folder)
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []

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
                bars.update(steps, completed=self.progress.epoch * len(self.loader) + self.progress.step)
                losses = self._epoch(lambda: bars.advance(steps))
                console.print(f"epoch {self.progress.epoch + 1:>3}/{self.config.epochs}: {self._close_epoch(losses)}")
        if self.config.keep == "best":
            if self.accelerator.is_main_process:
                checkpoint.load_weights(self.model, self.folder / checkpoint.BEST)
            distributed.agree(self.model)
        settle(self.model, self.plain, self.accelerator, learned=self.config.modality_dropout > 0)
        distributed.agree(self.model)
        if self.accelerator.is_main_process:
            checkpoint.save_weights(self.model, self.folder / checkpoint.WEIGHTS)
        kept = self.progress.best_epoch if self.config.keep == "best" else self.progress.epoch
        loaders = {"val": self.validation, "test": self.test}
        scores = {
            split: examine(self.model, found, self.accelerator, self.config.seed) for split, found in loaders.items()
        }
        return Result(kept, evaluate(scores["val"]), evaluate(scores["test"]), scores)

    def _epoch(self, advance: Callable[[], None]) -> dict[str, float]:
        """What is left of a pass over the training split; returns the mean of each loss term over the whole pass."""
        self._start_epoch()
        batch: Batch
        for batch in self.loader:
            batch = batch.to(self.accelerator.device)
            sums = self.progress.losses
            terms, pulls = self.stepping.step(batch, self.optimizer, look=not sums)
            self.progress.pulls = self.progress.pulls if sums else pulls
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
            self.progress.step += 1
            if self.accelerator.is_main_process and self.saving.due():
                self.saving.save(self.progress, self.history)
            advance()
        means = {name: float(total) / len(self.loader) for name, total in self.progress.losses.items()}
        if not all(math.isfinite(value) for value in means.values()):
            found = ", ".join(f"{name} {value}" for name, value in means.items())
            raise TrainingError(
                f"expected a finite loss, found {found} in epoch {self.progress.epoch + 1}; a lower --learning-rate or "
                "some --warmup may help"
            )
        return means

    def _start_epoch(self) -> None:
        """Before an epoch, or before what is left of one that was under way when it was saved: then all is prepared."""
        self.set_epoch(self.progress.epoch, start=self.progress.step * self.config.batch_size)
        rate = learning_rate(self.config, self.progress.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.progress.step == 0:
            self.model.train()
            self.method.train()
            self.method.epoch_start(
                Run(self.progress.epoch, self.config.epochs, self.model, self.optimizer, self._features)
            )

    def _close_epoch(self, losses: dict[str, float]) -> str:
        """Validate, keep the best weights, save the state; returns a line for people."""
        found = evaluate(collect(self.model, self.validation, self.accelerator))
        self.progress.epoch, self.progress.step, self.progress.losses = self.progress.epoch + 1, 0, {}
        dropout = self.config.modality_dropout
        score = found.expected(dropout) if dropout else self.method.score(found)
        if score > self.progress.best_score:
            self.progress.best_score, self.progress.best_epoch = score, self.progress.epoch
            if self.accelerator.is_main_process:
                checkpoint.save_weights(self.model, self.folder / checkpoint.BEST)
        closing = Closing(self.progress.epoch, losses, found, self.method.diagnostics(), self.progress.pulls)
        self.history.append(closing.entry())
        distributed.agree(self.model, self.method)
        if self.accelerator.is_main_process:
            checkpoint.write_json(self.folder / checkpoint.HISTORY, self.history)
            self.saving.save(self.progress, self.history)
        self.tracking.log(self.history)
        return closing.line(absent=dropout > 0)

    def _features(self, split: Literal["train", "val"]) -> Encoded:
        return encode(self.model, self.plain if split == "train" else self.validation, self.accelerator)

    def resume(self) -> None:
        """Go on exactly where the saved state ends; from the start if nothing was saved.

        Raises:
            CheckpointError: the state is damaged, or of another training.
        """
        self.progress, self.history = self.saving.resume()


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
