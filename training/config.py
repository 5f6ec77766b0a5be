"""One training's options: frozen, documented field by field, stored in every checkpoint."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.errors import ConfigError, check_modalities
from training.inputs import AudioOptions, GenomicsOptions, ImageOptions, PathologyOptions, TextOptions, VideoOptions

__all__ = [
    "AudioOptions", "AugmentOptions", "Config", "GenomicsOptions", "ImageOptions", "PathologyOptions", "TextOptions",
    "VideoOptions",
]  # fmt: skip


@dataclass(frozen=True)
class AugmentOptions:
    """Random changes to training samples, between decoding and normalising; none at evaluation and serving."""

    enabled: bool = True
    """Turn all of them off with --augment.no-enabled."""
    crop: float = 0.7
    """Pictures, frames and tiles: smallest share of the area that a random crop keeps; 1 keeps all."""
    flip: bool = True
    """Pictures and frames: mirror half of them left to right. Tiles are always mirrored and turned by quarters."""
    shift: float = 0.1
    """Audio: largest shift in time, as a share of the length."""
    gain: float = 6.0
    """Audio: largest change of loudness, in decibels."""
    noise: float = 0.1
    """Audio: largest standard deviation of added noise, as a share of the clip's own; silence stays silent."""
    token_dropout: float = 0.1
    """Text: share of tokens left out."""
    gene_dropout: float = 0.1
    """Genomics: share of values treated as missing."""

    def __post_init__(self) -> None:
        """Refuse impossible values at construction."""
        if not 0 < self.crop <= 1:
            raise ConfigError(f"augment.crop must be over 0 and at most 1, not {self.crop}")
        for name, limit in (("shift", 1.0), ("gain", 100.0), ("noise", 1.0)):
            if not 0 <= getattr(self, name) <= limit:
                raise ConfigError(f"augment.{name} must be from 0 to {limit:g}, not {getattr(self, name)}")
        for name in ("token_dropout", "gene_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"augment.{name} must be from 0 up to, not including, 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Config:
    """Everything that determines a training."""

    out: Path = Path("runs/demo")
    """Folder of the run: checkpoint, history, metrics."""
    dataset: str = "demo"
    """Which dataset; --dataset.* are its own options."""
    dataset_options: Any = None
    method: str = "infobridge"
    """Which training method; --method.* are its own options."""
    method_options: Any = None
    modalities: tuple[str, ...] = ()
    """Two or more of audio, video, image, text, pathology, genomics; not given, all that the dataset has."""
    fusion: str = "concat"
    """How the modalities' features become logits."""
    modality_dropout: float = 0.0
    """Probability with which each modality of a training sample is left out, so that the classifier learns to answer
    without it; 0.3 is a good start. The best epoch is then chosen by the accuracy to expect under it."""
    epochs: int = 20
    """Passes over the training split."""
    batch_size: int = 64
    """Samples per step, over all processes and parts together: results do not depend on how they are divided."""
    accumulate: int = 1
    """Parts into which each step's samples are divided and computed one after the other, to save memory; the step takes
    the mean of their losses, weighted by size. What a loss compares within a batch, and batch normalisation, then sees
    a part; without either it is the same as one large part."""
    optimiser: Literal["sgd", "adamw"] = "adamw"
    """SGD with momentum, or AdamW."""
    learning_rate: float = 1e-3
    """At the first epoch."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 1e-4
    """Per step."""
    clip: float | None = None
    """Largest Euclidean norm of all gradients together, to which longer ones are shortened; not given, any."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate falls, over the epochs."""
    warmup: int = 0
    """Epochs over which the learning rate first rises linearly."""
    by: tuple[str, ...] = ()
    """Columns of the table, such as site, by whose values the validation and test split are measured at the end."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's weights are kept: the best on the validation split, or the last."""
    class_weights: Literal["none", "balanced"] = "none"
    """How much each class counts in the loss: "none", as often as it is there; "balanced", n / (classes * n_c) for a
    class with n_c of the n training samples, so that all count alike."""
    sampling: Literal["uniform", "balanced"] = "uniform"
    """What an epoch draws: "uniform", every training sample once; "balanced", as many samples, but equally many of
    each class: those of small classes again and again, those of large ones in turns over the epochs."""
    seed: int = 0
    """Of initial weights, batch order, augmentation and negatives, each from its own stream."""
    workers: int = 0
    """Processes that read and augment samples; 0 does it in the training process."""
    save_minutes: float = 10.0
    """Between savings within an epoch, for --resume; at its end there is one anyway. 0 saves after every step."""
    tracker: tuple[Literal["tensorboard", "wandb", "mlflow", "none"], ...] = ("tensorboard",)
    """What shows the course of the training, one or several; "tensorboard" is kept in the folder of the run."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision; "no" is float32."""
    device: Literal["auto", "cpu"] = "auto"
    """"auto" takes an accelerator where there is one."""
    compile: bool = False
    """Compile the encoders (torch.compile): slow to start, faster steps on an accelerator."""
    cache: Path | None = None
    """Folder for decoded samples; not given, .cache beside the run. Safe to delete."""
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    audio: AudioOptions = field(default_factory=AudioOptions)
    video: VideoOptions = field(default_factory=VideoOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    text: TextOptions = field(default_factory=TextOptions)
    pathology: PathologyOptions = field(default_factory=PathologyOptions)
    genomics: GenomicsOptions = field(default_factory=GenomicsOptions)

    def __post_init__(self) -> None:
        """Refuse impossible values at construction."""
        for name, least in (
            ("epochs", 1),
            ("batch_size", 2),
            ("accumulate", 1),
            ("warmup", 0),
            ("workers", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if 2 * self.accumulate > self.batch_size:
            raise ConfigError(f"accumulate must leave two samples a part, at most {self.batch_size // 2} parts")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise ConfigError(f"clip must be a positive number, not {self.clip}")
        if self.warmup >= self.epochs:
            raise ConfigError(f"warmup must be less than epochs, {self.epochs}, not {self.warmup}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate must be a positive number, not {self.learning_rate}")
        if not self.save_minutes >= 0:
            raise ConfigError(f"save_minutes must not be negative, it is {self.save_minutes}")
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError(f"weight_decay must not be negative, it is {self.weight_decay}")
        if not 0 <= self.modality_dropout < 1:
            raise ConfigError(f"modality_dropout must be from 0 up to, not including, 1, not {self.modality_dropout}")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must be from 0 up to, not including, 1, not {self.momentum}")
        if self.class_weights != "none" and self.sampling != "uniform":
            raise ConfigError(
                f"class_weights {self.class_weights} and sampling {self.sampling} would correct one imbalance twice; "
                "choose one of them"
            )
        if len(set(self.by)) != len(self.by):
            raise ConfigError(f"by: expected different columns, got {', '.join(self.by)}")
        check_modalities(self.modalities)

    def of(self, modality: str) -> Any:
        """The options of one modality."""
        return getattr(self, modality)
