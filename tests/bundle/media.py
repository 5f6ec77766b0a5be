"""Small sound files, pictures and clips, made in memory."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import soundfile
from PIL import Image

from bundle.modalities import Array
from bundle.modalities.video import write_mp4


def tone(frequency: float, rate: int, seconds: float, channels: int = 1, gain: float = 0.5) -> Array:
    """A sine `(time, channels)`."""
    time = np.arange(round(rate * seconds)) / rate
    return np.repeat(gain * np.sin(2 * np.pi * frequency * time)[:, None], channels, axis=1)


def sound(samples: Array, rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """`(time,)` or `(time, channels)` samples as a sound file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def picture(source: Array | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Pixels as a picture file."""
    buffer = io.BytesIO()
    image = source if isinstance(source, Image.Image) else Image.fromarray(source)
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def colourful(height: int = 40, width: int = 60, seed: int = 0) -> Array:
    """A smooth colour picture `(height, width, 3)` uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def brightening(count: int, height: int = 64, width: int = 64, step: int = 8) -> list[Array]:
    """Frames whose brightness is their index times `step`."""
    return [np.full((height, width, 3), index * step, dtype=np.uint8) for index in range(count)]


def clip(frames: list[Array], rate: int = 10) -> bytes:
    """Frames as an MP4 without sound."""
    return write_mp4(frames, rate)


def track(samples: Array, rate: int, kind: str = "mp4", codec: str = "aac") -> bytes:
    """`(time, channels)` samples as the only track of a container."""
    return talking_clip([], samples, rate, kind, codec)


def talking_clip(
    frames: Sequence[Array], samples: Array, rate: int, kind: str = "mp4", codec: str = "aac", pictures: str = "libx264"
) -> bytes:
    """Frames at 10 a second with the samples `(time, channels)` as their sound track."""
    buffer = io.BytesIO()
    layout = "stereo" if samples.shape[1] == 2 else "mono"
    with av.open(buffer, mode="w", format=kind) as container:
        moving = container.add_stream(pictures, rate=10) if frames else None
        sounding = container.add_stream(codec, rate=rate, layout=layout)
        if moving is not None:
            assert isinstance(moving, av.VideoStream)
            moving.height, moving.width = frames[0].shape[:2]
            moving.pix_fmt = "yuv420p"
            for frame in frames:
                container.mux(moving.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(moving.encode(None))
        assert isinstance(sounding, av.AudioStream)
        whole = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.astype(np.float32)), format="fltp", layout=layout
        )
        whole.sample_rate, whole.time_base, whole.pts = rate, Fraction(1, rate), 0
        container.mux(sounding.encode(whole))
        container.mux(sounding.encode(None))
    return buffer.getvalue()


def turned(mp4: bytes, degrees: int) -> bytes:
    """The clip with the display matrix that phones write: show it turned clockwise by 90, 180 or 270 degrees."""
    one = 1 << 16
    corner = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[degrees]
    matrix = (corner[0], corner[1], 0, corner[2], corner[3], 0, 0, 0, 1 << 30)
    start = mp4.index(b"tkhd") + 4 + 40  # version 0: the matrix begins 40 bytes into the box
    new = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    return mp4[:start] + new + mp4[start + len(new) :]
