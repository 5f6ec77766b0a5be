"""Corruptions of sound, `(samples,)` float32: noise, a narrow band, and coarse quantisation.

Lossy coders do two things to speech: they leave out high frequencies, and they spend fewer bits on what is left. The
levels are ours: signal-to-noise ratios as in tests of speech recognition; bands from wide to narrower than a
telephone's; bits of G.711's μ-law from its own 8 down. What is exactly 0 stays so: padding is as silent as at serving.
"""

import numpy as np

from bundle.modalities import Array
from training.corruptions.corruption import Corruption, Subject

MU = 255.0
"""Of μ-law (ITU-T G.711)."""


def noise(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """White noise at a signal-to-noise ratio in decibels, against the mean power where there is sound."""
    wave = subject.array
    heard = wave[wave != 0.0]
    power = float(np.mean(np.square(heard, dtype=np.float64))) if len(heard) else 0.0
    drawn = generator.standard_normal(len(wave)) * np.sqrt(power * 10.0 ** (-level / 10.0))
    return _silent(wave, wave + drawn)


def band(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Without the frequencies above a share of the highest."""
    del generator
    spectrum = np.fft.rfft(subject.array.astype(np.float64))
    spectrum[round(level * (len(spectrum) - 1)) + 1 :] = 0.0
    return _silent(subject.array, np.fft.irfft(spectrum, len(subject.array)))


def quantisation(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Amplitudes rounded to so many bits on the scale of μ-law, where the loudest of the sample is 1."""
    del generator
    wave = subject.array.astype(np.float64)
    peak = float(np.abs(wave).max()) or 1.0
    steps = 2.0 ** (level - 1) - 1
    companded = np.log1p(MU * np.abs(wave) / peak) / np.log1p(MU)
    rounded = np.rint(companded * steps) / steps
    return _silent(subject.array, np.sign(wave) * peak * np.expm1(rounded * np.log1p(MU)) / MU)


def _silent(wave: Array, changed: Array) -> Array:
    return np.where(wave == 0.0, 0.0, changed).astype(np.float32)


SOUND = (
    Corruption("noise", (20, 15, 10, 5, 0), "signal-to-noise ratio in dB", noise),
    Corruption("narrow band", (0.7, 0.5, 0.35, 0.25, 0.15), "highest frequency kept, of the highest there is", band),
    Corruption("quantisation", (8, 6, 5, 4, 3), "bits of μ-law", quantisation),
)
