"""One training's options: frozen, documented field by field, stored in every checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.errors import ConfigError


@dataclass(frozen=True)
class AudioOptions:
    """How sound is prepared and encoded."""

    rate: int = 16_000
    """Samples per second."""
    seconds: float | None = None
    """Length of the stretch; not given, that of the longest training clip, at most 10."""
    window: int = 400
    """Samples per spectrogram window."""
    hop: int = 160
    """Samples between windows."""
    bins: int = 64
    """Mel bands; 0 keeps the linear frequency bins."""
    encoder: str = "convolutional"
    """Which encoder; --audio.encoder.* are its own options."""
    encoder_options: Any = None


@dataclass(frozen=True)
class VideoOptions:
    """How clips are prepared and encoded."""

    frames: int = 4
    """Frames taken, evenly."""
    size: int = 112
    """Height and width in pixels."""
    fit: Literal["crop", "pad", "squash"] = "crop"
    """How a frame that is not square becomes one."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    encoder: str = "convolutional"
    """Which encoder; --video.encoder.* are its own options."""
    encoder_options: Any = None


@dataclass(frozen=True)
class ImageOptions:
    """How pictures are prepared and encoded."""

    size: int = 128
    """Height and width in pixels."""
    fit: Literal["crop", "pad", "squash"] = "crop"
    """How a picture that is not square becomes one."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    encoder: str = "convolutional"
    """Which encoder; --image.encoder.* are its own options."""
    encoder_options: Any = None


@dataclass(frozen=True)
class TextOptions:
    """How text is prepared and encoded."""

    max_length: int = 64
    """Tokens kept, special tokens included."""
    vocabulary: int = 8000
    """Largest vocabulary of the tokenizer made from the training texts; a pretrained encoder brings its own."""
    encoder: str = "transformer"
    """Which encoder; --text.encoder.* are its own options."""
    encoder_options: Any = None


@dataclass(frozen=True)
class PathologyOptions:
    """How tissue tiles are prepared and encoded."""

    size: int = 128
    """Height and width in pixels."""
    encoder: str = "convolutional"
    """Which encoder; --pathology.encoder.* are its own options."""
    encoder_options: Any = None


@dataclass(frozen=True)
class GenomicsOptions:
    """How the named-column vector is encoded."""

    encoder: str = "snn"
    """Which encoder; --genomics.encoder.* are its own options."""
    encoder_options: Any = None


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
    noise: float = 0.005
    """Audio: standard deviation of added noise, where full scale is 1."""
    token_dropout: float = 0.1
    """Text: share of tokens left out."""
    gene_dropout: float = 0.1
    """Genomics: share of values treated as missing."""


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
    epochs: int = 20
    """Passes over the training split."""
    batch_size: int = 64
    """Samples per step and process."""
    optimiser: Literal["sgd", "adamw"] = "adamw"
    """SGD with momentum, or AdamW."""
    learning_rate: float = 1e-3
    """At the first epoch."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 1e-4
    """Per step."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate falls, over the epochs."""
    warmup: int = 0
    """Epochs over which the learning rate first rises linearly."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's weights are kept: the best on the validation split, or the last."""
    seed: int = 0
    """Of initial weights, batch order, augmentation and negatives, each from its own stream."""
    workers: int = 0
    """Processes that read and augment samples; 0 does it in the training process."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision; "no" is float32."""
    device: Literal["auto", "cpu"] = "auto"
    """"auto" takes an accelerator where there is one."""
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
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("weight_decay", "momentum", "warmup", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, it is {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, not {self.learning_rate}")

    def of(self, modality: str) -> Any:
        """The options of one modality."""
        return getattr(self, modality)
