"""Audio: any sound file, rate and channel count to a standardised log spectrogram."""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import soundfile
import soxr

from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia
from bundle.modalities import container
from bundle.modalities.modality import Array, Modality, Payload

EXPECTED = "a sound file (WAV, FLAC, OGG, MP3) or a clip with a sound track (MP4, FLV, MPEG, WebM)"
FLOOR = 1e-6


@dataclass(frozen=True)
class Audio(Modality):
    """A stretch of sound of fixed length: longer sound is cut at its centre, shorter is padded with silence."""

    name: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"

    rate: int = 16_000
    """Samples per second the model hears."""
    seconds: float = 3.0
    """Length of the stretch."""
    window: int = 400
    """Samples per spectrogram window (Hann)."""
    hop: int = 160
    """Samples between windows."""
    bins: int = 64
    """Mel bands; 0 keeps the linear bins, window // 2 + 1 of them."""
    mean: float = 0.0
    """Mean of the training spectrograms."""
    std: float = 1.0
    """Standard deviation of the training spectrograms."""

    @property
    def samples(self) -> int:
        """Length of the waveform in samples."""
        return round(self.rate * self.seconds)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """`(1, frequency, time)`."""
        return (1, self.bins or self.window // 2 + 1, 1 + self.samples // self.hop)

    def decode(self, payload: Payload) -> Array:
        """A sound file to a mono waveform `(samples,)` float32, in -1..1 for integer formats."""
        wave, rate = read_sound(payload, self.seconds)
        if not np.isfinite(wave).all():
            raise InvalidInput("finite audio samples", "NaN or infinite samples")
        if rate != self.rate:
            wave = soxr.resample(wave, rate, self.rate)
        start = max(0, (len(wave) - self.samples) // 2)
        wave = wave[start : start + self.samples]
        return np.pad(wave, (0, self.samples - len(wave))).astype(np.float32)

    def normalise(self, array: Array) -> Array:
        """A waveform `(samples,)` to its standardised log power spectrogram `(1, frequency, time)`."""
        padded = np.pad(array.astype(np.float64), self.window // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop][: self.shape[2]]
        power = np.abs(np.fft.rfft(frames * np.hanning(self.window + 1)[:-1], axis=1)) ** 2
        bands = power @ self._filters if self.bins else power
        spectrogram = np.log(bands.T + FLOOR)
        return ((spectrogram - self.mean) / self.std).astype(np.float32)[None]

    @cached_property
    def _filters(self) -> Array:
        """Triangular mel filters `(window // 2 + 1, bins)`, HTK scale from 20 Hz to half the rate."""
        edges = _from_mel(np.linspace(_to_mel(20.0), _to_mel(self.rate / 2), self.bins + 2))
        frequencies = np.linspace(0, self.rate / 2, self.window // 2 + 1)[:, None]
        rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
        return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))

    def example(self, generator: np.random.Generator) -> bytes:
        """A generated stereo WAV at 22,050 Hz: tones in noise, shorter or longer than the model's length."""
        rate = 22_050
        time = np.arange(int(rate * self.seconds * generator.uniform(0.5, 1.6)))[:, None] / rate
        tones = np.sin(2 * np.pi * generator.uniform(80, 6000, 2) * time)
        buffer = io.BytesIO()
        soundfile.write(buffer, 0.4 * tones + 0.05 * generator.standard_normal(tones.shape), rate, format="WAV")
        return buffer.getvalue()


def _to_mel(frequency: float) -> float:
    return 2595.0 * float(np.log10(1.0 + frequency / 700.0))


def _from_mel(mel: Array) -> Array:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def read_sound(payload: Payload, seconds: float | None = None) -> tuple[Array, int]:
    """Mono waveform and its rate; with `seconds`, at least that centre stretch of a longer file.

    Raises:
        InvalidInput: empty, truncated, corrupt, or without sound.
    """
    if not isinstance(payload, bytes):
        raise InvalidInput(EXPECTED, f"{type(payload).__name__} instead of a file's bytes")
    try:
        file = soundfile.SoundFile(io.BytesIO(payload))
    except (soundfile.LibsndfileError, RuntimeError):
        return _read_track(payload)
    with file:
        _refuse_cut_wav(payload)
        wanted = file.frames
        if seconds is not None and file.seekable():
            wanted = min(wanted, int(np.ceil(seconds * file.samplerate)) + 1)
            file.seek((file.frames - wanted) // 2)
        if wanted > container.MAX_SECONDS * file.samplerate:
            raise TooLarge(
                f"at most {container.MAX_SECONDS} seconds of sound", f"{wanted / file.samplerate:.0f} seconds"
            )
        try:
            wave = file.read(wanted, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InvalidInput(EXPECTED, f"a corrupt {file.format} file ({error})") from None
        if len(wave) < wanted:
            raise InvalidInput(EXPECTED, f"a truncated {file.format} file: {len(wave)} of {wanted} samples")
        rate = file.samplerate
    if not len(wave):
        raise InvalidInput(EXPECTED, "a sound file without samples")
    return wave.mean(axis=1), rate


def _refuse_cut_wav(payload: bytes) -> None:
    """libsndfile silently shortens a cut WAV; its RIFF header still tells the length it should have."""
    if payload[:4] != b"RIFF":
        return
    stated = int.from_bytes(payload[4:8], "little") + 8
    streamed = stated >= 0xFFFFFFFF
    if not streamed and len(payload) < stated - 1:
        raise InvalidInput(EXPECTED, f"a truncated WAV file: {len(payload)} of {stated} bytes")


def _read_track(payload: bytes) -> tuple[Array, int]:
    """The first sound track of a clip, mono, at its own rate."""
    with container.opened(payload, EXPECTED) as clip:
        if not clip.streams.audio:
            raise UnsupportedMedia(EXPECTED, "a file without a sound track")
        container.count_packets(clip, clip.streams.audio[0], EXPECTED)
    with container.opened(payload, EXPECTED) as clip:
        pieces: list[Array] = []
        total, rate = 0, 0
        for frame in clip.decode(clip.streams.audio[0]):
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, len(frame.layout.channels)).T
            pieces.append(_to_float(samples).mean(axis=0))
            rate = frame.sample_rate
            total += pieces[-1].shape[0]
            if total > container.MAX_SECONDS * rate:
                raise TooLarge(f"at most {container.MAX_SECONDS} seconds of sound", "a longer track")
    if total == 0:
        raise InvalidInput(EXPECTED, "a sound track without samples")
    return np.concatenate(pieces), rate


def _to_float(samples: Array) -> Array:
    """Integer samples scaled to -1..1 as float32; unsigned 8-bit is centred."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    return np.asarray(samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min), dtype=np.float32)
