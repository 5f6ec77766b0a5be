"""How each modality is prepared and encoded: the options of a training that belong to one."""

from dataclasses import dataclass
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
    pool: int = 1
    """How many times as many frames training draws from, anew each epoch; an odd number, so that those of evaluation
    and serving are among them. 1 always takes theirs."""
    size: int = 112
    """Height and width in pixels."""
    fit: Literal["crop", "pad", "squash"] = "crop"
    """How a frame that is not square becomes one."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    encoder: str = "convolutional"
    """Which encoder; --video.encoder.* are its own options."""
    encoder_options: Any = None

    def __post_init__(self) -> None:
        """Refuse impossible values at construction."""
        if self.pool < 1 or self.pool % 2 == 0:
            raise ConfigError(f"video.pool must be an odd number from 1, not {self.pool}")


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
    """Largest vocabulary of the tokenizer made from the training texts, but every letter of them is in it; a pretrained
    encoder brings its own."""
    encoder: str = "transformer"
    """Which encoder; --text.encoder.* are its own options."""
    encoder_options: Any = None

    def __post_init__(self) -> None:
        """Refuse impossible values at construction."""
        if not 5 <= self.vocabulary <= 1_000_000:
            raise ConfigError(f"text.vocabulary must be from 5 to 1,000,000 tokens, not {self.vocabulary}")


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
