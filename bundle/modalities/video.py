"""Video: a clip to a few frames chosen evenly, as uint8 pixels."""

import io
from dataclasses import dataclass
from typing import ClassVar

import av
import numpy as np
from av.container import InputContainer
from PIL import Image

from bundle.errors import InvalidInput, TooLarge
from bundle.modalities import container, pixels
from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.ranges import check_choice, check_whole
from bundle.work import checkpoint, limits

EXPECTED = "a video clip (MP4, MOV, WebM, MKV, AVI, FLV, MPEG)"
MAX_FRAMES = 1_024


@dataclass(frozen=True)
class Video(Modality):
    """Frames at the centres of equal parts of the clip; a clip with fewer frames repeats some."""

    name: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"

    frames: int = 4
    """How many frames are taken."""
    size: int = 112
    """Height and width in pixels."""
    fit: pixels.Fit = "crop"
    """How a frame that is not square becomes one."""
    channels: pixels.Channels = 3
    """3 for colour, 1 for grey."""

    def __post_init__(self) -> None:
        check_whole("frames", self.frames, 1, MAX_FRAMES)
        check_whole("size", self.size, 1, pixels.LARGEST)
        check_choice("fit", self.fit, pixels.FITS)
        check_choice("channels", self.channels, (1, 3))

    @property
    def shape(self) -> tuple[int | None, ...]:
        """`(frames, channels, size, size)`."""
        return (self.frames, self.channels, self.size, self.size)

    def decode(self, payload: Payload) -> Array:
        """A clip to `(frames, channels, size, size)` uint8."""
        with container.opened(payload, EXPECTED) as clip:
            track = container.first_track(clip.streams.video, EXPECTED, "picture")
            _check_pixels(track.codec_context.width, track.codec_context.height)
            count = container.count_packets(clip, track, EXPECTED, limits().video_seconds)
            _check_frames(count)
        with container.opened(payload, EXPECTED) as clip:
            kept, decoded = self._pick(clip, count)
        if decoded == 0:
            raise InvalidInput(EXPECTED, "a picture track without frames")
        if decoded != count:  # some codecs hide or repeat packets: choose again among what really decodes
            with container.opened(payload, EXPECTED) as clip:
                kept, _ = self._pick(clip, decoded)
        return np.stack(kept)

    def _pick(self, clip: InputContainer, count: int) -> tuple[list[Array], int]:
        """The chosen frames among `count`, and how many frames really decoded."""
        wanted = evenly(count, self.frames)
        kept: list[Array] = []
        decoded = 0
        stream = container.first_track(clip.streams.video, EXPECTED, "picture")
        stream.codec_context.thread_count = 1
        for frame in container.decoded(clip, stream):
            assert isinstance(frame, av.VideoFrame)
            times = int(np.count_nonzero(wanted == decoded))
            if times:
                kept.extend([self._to_pixels(frame)] * times)
            decoded += 1
            _check_frames(decoded)
        return kept, decoded

    def _to_pixels(self, frame: av.VideoFrame) -> Array:
        _check_pixels(frame.width, frame.height)
        picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
        checkpoint()
        if frame.rotation % 360:
            picture = picture.rotate(frame.rotation, expand=True)
        return pixels.to_array(pixels.to_square(pixels.flatten(picture, self.channels), self.size, self.fit))

    def example(self, generator: np.random.Generator) -> bytes:
        """A generated H.264 clip of a moving noise picture."""
        picture = np.asarray(pixels.smooth_noise(generator, 96, 128))
        shift = int(generator.integers(2, 9))
        frames = [np.roll(picture, step * shift, axis=1) for step in range(int(generator.integers(3, 12)))]
        return write_mp4(frames, rate=12)


def _check_pixels(width: int, height: int) -> None:
    if width * height > limits().frame_pixels:
        raise TooLarge(f"frames of at most {limits().frame_pixels:,} pixels", f"{width}x{height}")


def _check_frames(count: int) -> None:
    if count > limits().frames:
        raise TooLarge(f"a clip of at most {limits().frames:,} frames", "one of more frames")


def evenly(count: int, frames: int) -> Array:
    """Indices of `frames` frames among `count`: the centres of equal parts, `(frames,)`."""
    return ((np.arange(frames) + 0.5) * count / frames).astype(np.int64)


def write_mp4(frames: list[Array], rate: int) -> bytes:
    """Encode `(height, width, 3)` uint8 frames as an H.264 MP4 of `rate` frames per second; same frames, same bytes."""
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as clip:
        # one thread and no lookahead: with either, the same frames give other bytes now and then
        options = {"crf": "18", "preset": "veryfast", "tune": "zerolatency"}
        stream = clip.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for frame in frames:
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        clip.mux(stream.encode(None))
    return buffer.getvalue()
