"""Random frames for training, drawn from more of a clip than evaluation and serving take, theirs among them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bundle.modalities import MODALITIES, Array, Modality, Video
from training.columns import Column
from training.config import Config

STREAM = len(MODALITIES) + 1
"""Number of the random stream that draws frames; smaller ones change samples and leave modalities out."""


def pool_of(modality: Modality, config: Config) -> int:
    """How many times the frames of evaluation are kept of a clip; 1 where nothing is drawn."""
    return config.video.pool if isinstance(modality, Video) else 1


def widened(modality: Modality, config: Config) -> Modality:
    """The modality as samples are decoded and kept: of clips with all the frames that training draws from."""
    if not isinstance(modality, Video):
        return modality
    return replace(modality, frames=modality.frames * config.video.pool)


class Evaluated(Column[Array]):
    """Of clips with `pool` times as many frames, those that evaluation and serving take.

    These lie at the centres of equal parts of a clip, and so do the others; as `pool` is odd, each of theirs is the
    middle one of `pool` in a row, the very same frame.
    """

    def __init__(self, clips: Sequence[Array], pool: int) -> None:
        self._clips = clips
        self._pool = pool

    def __len__(self) -> int:
        return len(self._clips)

    def item(self, position: int) -> Array:
        """`(frames, channels, height, width)` of one clip."""
        found: Array = self._clips[position][self._pool // 2 :: self._pool]
        return found


def draw(clip: Array, frames: int, generator: np.random.Generator) -> Array:
    """`frames` different ones of a clip's frames, any with the same probability, in the clip's order."""
    found: Array = clip[np.sort(generator.choice(len(clip), frames, replace=False))]
    return found
