"""Audio: any sound file, rate and channel count to a standardised log spectrogram."""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import soundfile
import soxr

from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.ranges import check_finite, check_positive, check_whole
from bundle.modalities.sound import HIGHEST_RATE, LOWEST_RATE, centre, read_sound
from bundle.work import checkpoint

MAX_SECONDS = 600
"""Of the stretch that a model may hear."""
MOST = 1 << 28
"""Samples of the stretch, or of all its windows together."""
FLOOR = 1e-6
"""Added to the power before the logarithm: silence is log(1e-6)."""


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

    def __post_init__(self) -> None:
        check_whole("rate", self.rate, LOWEST_RATE, HIGHEST_RATE)
        check_positive("seconds", self.seconds)
        if self.seconds > MAX_SECONDS:
            raise ValueError(f"seconds: expected at most {MAX_SECONDS}, found {self.seconds}")
        check_whole("seconds times rate", self.samples, 1, MOST)
        check_whole("window", self.window, 2, self.samples)
        check_whole("hop", self.hop, 1, self.window)
        check_whole("window times windows", self.window * (1 + self.samples // self.hop), 2, MOST)
        check_whole("bins", self.bins, 0, self.window // 2 + 1)
        check_finite("mean", self.mean)
        check_positive("std", self.std)

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
        if rate != self.rate:
            checkpoint()
            wave = soxr.resample(wave, rate, self.rate)
        checkpoint()
        start, stop = centre(len(wave), self.samples, margin=0)
        wave = wave[start:stop]
        return np.pad(wave, (0, self.samples - len(wave))).astype(np.float32)

    def normalise(self, array: Array) -> Array:
        """A waveform `(samples,)` to its standardised log power spectrogram `(1, frequency, time)`."""
        half = self.window // 2
        padded = np.pad(array.astype(np.float64), (half, self.window - half))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop][: self.shape[2]]
        checkpoint()
        power = np.abs(np.fft.rfft(frames * np.hanning(self.window + 1)[:-1], axis=1)) ** 2
        checkpoint()
        bands = power @ self._filters if self.bins else power
        checkpoint()
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
        seconds = min(self.seconds * generator.uniform(0.5, 1.6), MAX_SECONDS - 1)
        time = np.arange(1 + int(rate * seconds))[:, None] / rate
        tones = np.sin(2 * np.pi * generator.uniform(80, 6000, 2) * time)
        buffer = io.BytesIO()
        soundfile.write(buffer, 0.4 * tones + 0.05 * generator.standard_normal(tones.shape), rate, format="WAV")
        return buffer.getvalue()


def _to_mel(frequency: float) -> float:
    return 2595.0 * float(np.log10(1.0 + frequency / 700.0))


def _from_mel(mel: Array) -> Array:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
