"""What one payload may cost: the limits of decoding, each with a safe default."""

import math
from dataclasses import dataclass, fields

PACKETS_A_SECOND = 200
"""Sound packets of a clip's second, generously: AAC has 47, Opus 50."""
HIGHEST_RATE = 96_000
"""Samples a second at which sound as long as `audio_seconds` is still read; at a higher rate it must be shorter."""

FEW_SAMPLES = 1 << 24
"""So many samples cost 64 MiB and are read at any rate."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one payload; what is over one is refused with `TooLarge`, before it is decoded where that is possible.

    Raises:
        ValueError: a limit that is not a finite number over 0.
    """

    pixels: int = 50_000_000
    """Width times height of a picture."""
    tile_pixels: int = 80_000_000
    """Width times height of a pathology tile; from 89 million on, Pillow warns of a decompression bomb."""
    frame_pixels: int = 4096 * 2304
    """Width times height of a video frame."""
    audio_seconds: float = 600.0
    """Length of a sound file, or of the sound track of a clip read as sound."""
    video_seconds: float = 600.0
    """Length of a clip."""
    frames: int = 36_000
    """Pictures of a clip, all of which are decoded to choose a few: 60 a second over ten minutes."""
    characters: int = 100_000
    """Characters of a text."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{entry.name}: expected a finite number over 0, found {value!r}")

    @property
    def packets(self) -> int:
        """Packets of all tracks of a file, which are all read to know whether it is complete."""
        return self.frames + math.ceil(PACKETS_A_SECOND * max(self.audio_seconds, self.video_seconds))

    @property
    def samples(self) -> int:
        """Samples of each channel of a sound, whatever its rate: what decoding may have to hold at once."""
        return max(FEW_SAMPLES, math.ceil(HIGHEST_RATE * self.audio_seconds))
