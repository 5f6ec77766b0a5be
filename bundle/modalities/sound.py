"""Sound files and the sound tracks of clips to a mono waveform at its own rate."""

import io
import math
from collections import deque

import av
import numpy as np
import soundfile

from bundle.errors import InvalidInput, TooLarge
from bundle.modalities import container
from bundle.modalities.completeness import refuse_cut
from bundle.modalities.modality import Array, Payload
from bundle.work import checkpoint, limits

EXPECTED = "a sound file (WAV, FLAC, OGG, MP3) or a clip with a sound track (MP4, FLV, MPEG, WebM)"
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS")
FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "AIFF")
"""What libsndfile may read. It also takes formats that almost any bytes fit, and writes to stderr of a broken MP3."""
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
LOUDEST = 1e9
"""Float files may be over 1, but what is over this is not sound and would overflow."""
BLOCK = 1 << 20
"""Samples, of all channels together, that are read at once."""
UNKNOWN_LENGTH = 2**40
"""libsndfile reports at least so many frames when a header does not tell how many there are."""


class _Clamped(io.BytesIO):
    """Bytes to seek in wherever a damaged header points: an error in libsndfile's callbacks would only be printed."""

    def seek(self, offset: int, whence: int = 0) -> int:
        origin = (0, self.tell(), len(self.getbuffer()))[whence]
        return super().seek(min(max(0, origin + offset), len(self.getbuffer())))


def read_sound(payload: Payload, seconds: float | None = None) -> tuple[Array, int]:
    """Mono waveform `(samples,)` float32 and its rate; with `seconds`, at least that centre stretch of a longer file.

    Raises:
        UnsupportedMedia: not a sound file, or a clip without sound.
        TooLarge: longer than the limit.
        InvalidInput: empty, truncated, corrupt, or with samples that are not finite.
    """
    if not isinstance(payload, bytes):
        raise InvalidInput(EXPECTED, f"{type(payload).__name__} instead of a file's bytes")
    refuse_cut(payload, EXPECTED)
    wave, rate = _read_file(payload, seconds) or _read_track(payload, seconds)
    if not len(wave):
        raise InvalidInput(EXPECTED, "a sound file without samples")
    checkpoint()
    if not (wave.max() <= LOUDEST and wave.min() >= -LOUDEST):  # NaN is neither
        raise InvalidInput("finite audio samples", "NaN, infinite or absurdly large samples")
    return wave, rate


def centre(frames: int, length: int, margin: int) -> tuple[int, int]:
    """First and last frame (exclusive) of the centre `length` of `frames`, with up to `margin` more on each side."""
    start = (frames - length) // 2
    return max(0, start - margin), min(frames, start + length + margin)


def _read_file(payload: bytes, seconds: float | None) -> tuple[Array, int] | None:
    """What libsndfile reads; None for what is left to FFmpeg."""
    if not payload.startswith(MAGIC):
        return None
    try:
        file = soundfile.SoundFile(_Clamped(payload))
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return None
    with file:
        rate, frames = file.samplerate, file.frames
        if file.format not in FORMATS or frames > UNKNOWN_LENGTH:
            return None
        _check_rate(rate)
        try:
            if file.format == "FLAC" and frames:
                file.seek(frames - 1)
                if len(file.read(1)) < 1:
                    raise InvalidInput(EXPECTED, "a truncated FLAC file")
            if frames > limits().audio_seconds * rate:
                raise _too_long(f"{frames / rate:.0f} seconds")
            start, stop = _stretch(frames, rate, seconds)
            _check_samples(stop - start)
            file.seek(start)
            wave = _read_mono(file, stop - start)
        except soundfile.LibsndfileError as error:
            raise InvalidInput(EXPECTED, f"a corrupt {file.format} file ({error})") from None
        if len(wave) < stop - start:
            raise InvalidInput(EXPECTED, f"a truncated {file.format} file: {len(wave)} of {stop - start} samples")
    return wave, rate


def _read_mono(file: soundfile.SoundFile, length: int) -> Array:
    """The next `length` samples, or as many as there are: in blocks, for a file may have a thousand channels."""
    wave = np.empty(length, dtype=np.float32)
    block = max(1, BLOCK // file.channels)
    for start in range(0, length, block):
        checkpoint()
        samples = file.read(min(block, length - start), dtype="float32", always_2d=True)
        wave[start : start + len(samples)] = _mono(samples.T)
        if len(samples) < min(block, length - start):
            return wave[: start + len(samples)]
    return wave


def _read_track(payload: bytes, seconds: float | None) -> tuple[Array, int]:
    """The first sound track of a clip, mono, at its own rate; with `seconds`, its centre as that of a file."""
    with container.opened(payload, EXPECTED) as clip:
        track = container.first_track(clip.streams.audio, EXPECTED, "sound")
        container.count_packets(clip, track, EXPECTED, limits().audio_seconds)
        index = track.index
    with container.opened(payload, EXPECTED) as clip:
        pieces: deque[Array] = deque()
        total, dropped, rate = 0, 0, 0
        for frame in container.decoded(clip, clip.streams[index]):
            assert isinstance(frame, av.AudioFrame)
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, len(frame.layout.channels)).T
            pieces.append(_mono(_to_float(samples)))
            rate = frame.sample_rate
            total += pieces[-1].shape[0]
            if total > limits().audio_seconds * rate:
                raise _too_long("a longer track")
            _check_samples(total)
            while pieces and dropped + len(pieces[0]) <= _stretch(total, rate, seconds)[0]:
                dropped += len(pieces.popleft())  # the centre only moves on: what lies before it is not needed
    if total == 0:
        raise InvalidInput(EXPECTED, "a sound track without samples")
    _check_rate(rate)
    start, stop = _stretch(total, rate, seconds)
    return np.concatenate(pieces)[max(0, start - dropped) : stop - dropped], rate


def _stretch(frames: int, rate: int, seconds: float | None) -> tuple[int, int]:
    """First and last frame (exclusive) that are needed."""
    if seconds is None:
        return 0, frames
    # the margin keeps the edges of a resampling filter outside the stretch
    return centre(frames, round(seconds * rate), margin=math.ceil(rate / 20))


def _too_long(received: str) -> TooLarge:
    return TooLarge(f"at most {limits().audio_seconds:g} seconds of sound", received)


def _check_samples(count: int) -> None:
    if count > limits().samples:
        raise TooLarge(f"at most {limits().samples:,} samples", "more")


def _check_rate(rate: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InvalidInput(f"a sampling rate from {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz", f"{rate:,} Hz")


def _mono(samples: Array) -> Array:
    """`(channels, time)` to their mean `(time,)` float32, added in float64: float32 sums of loud files overflow."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
        return np.asarray(samples.mean(axis=0, dtype=np.float64).astype(np.float32))


def _to_float(samples: Array) -> Array:
    """Integer samples scaled to -1..1; unsigned 8-bit is centred; float samples as they are."""
    if samples.dtype.kind == "f":
        return samples
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    return np.asarray(samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min), dtype=np.float32)
