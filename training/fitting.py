"""Preprocessing parameters from the training split: lengths, vocabularies, means, medians."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from bundle.errors import InvalidInput
from bundle.modalities import Array, Audio, Genomics, Image, Modality, Pathology, Text, Video
from bundle.modalities.sound import read_sound
from training.cells import columns_at_once
from training.columns import Chosen, Vectors, Words
from training.config import Config
from training.errors import ConfigError, DataError, named
from training.pairs import Pairs, Source, payload
from training.pretrained import load_tokenizer
from training.tokenizer import train_tokenizer

MEASURED = 512
"""Training samples looked at for lengths and spectrogram statistics."""
LONGEST = 10.0
"""Seconds."""
RELATIVE = 1e-6
"""A spread below this share of the largest value is rounding, not data: such a column is constant."""


def fit(config: Config, pairs: Pairs) -> dict[str, Modality]:
    """The preprocessing of each modality, as far as it is known before decoding.

    Raises:
        ConfigError: parameters that cannot be.
        DataError: a genomics column without a single training value.
    """
    fitted: dict[str, Modality] = {}
    for name, sources in pairs.sources.items():
        training = Chosen(sources, pairs.indices("train"))
        try:
            fitted[name] = _fit_one(name, config, training)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
    return fitted


def _fit_one(name: str, config: Config, training: Chosen[Source]) -> Modality:
    options = config.of(name)
    match name:
        case "audio":
            seconds = options.seconds if options.seconds is not None else _longest(training)
            return Audio(options.rate, seconds, options.window, options.hop, options.bins)
        case "video":
            return Video(options.frames, options.size, options.fit, options.channels)
        case "image":
            return Image(options.size, options.fit, options.channels)
        case "pathology":
            return Pathology(options.size)
        case "text":
            return _fit_text(config, training)
        case _:
            return _fit_genomics(training)


def _longest(training: Sequence[Source]) -> float:
    """Seconds of the longest clip among some, at most `LONGEST`; broken files are left to the decoding's report."""
    seconds = [0.1]
    for source in training[:MEASURED]:
        try:
            assert isinstance(source, Path)
            seconds.append(soundfile.info(source).duration)
        except (soundfile.LibsndfileError, RuntimeError):
            try:
                wave, rate = read_sound(payload(source))
                seconds.append(len(wave) / rate)
            except (InvalidInput, OSError):
                continue
    return float(min(LONGEST, np.ceil(max(seconds) * 20) / 20))


def _fit_text(config: Config, training: Sequence[Source]) -> Text:
    options = config.text
    pretrained = getattr(options.encoder_options, "pretrained", None)
    if pretrained is not None:
        with named("text"):
            return load_tokenizer(pretrained, options.max_length)
    return Text(train_tokenizer(Words(_texts(training)), options.vocabulary), options.max_length, pad_id=0)


def _texts(training: Sequence[Source]) -> Iterator[str]:
    """The readable texts among some; the others are left to the decoding's report."""
    for source in training:
        try:
            raw = payload(source)
        except OSError:
            continue
        yield raw.decode("utf-8-sig", "replace") if isinstance(raw, bytes) else str(raw)


def _fit_genomics(training: Chosen[Source]) -> Genomics:
    vectors = training.items
    assert isinstance(vectors, Vectors)
    empty, medians, means, stds = [], [], [], []
    for name, column in zip(vectors.names, _columns(vectors.values, training.indices), strict=True):
        gone = np.isnan(column)
        if gone.all():
            empty.append(name)
            continue
        medians.append(float(np.median(column[~gone])))
        filled = np.where(gone, medians[-1], column)
        spread = float(filled.std())
        means.append(float(filled.mean()))
        stds.append(spread if spread > RELATIVE * float(np.abs(filled).max()) else 1.0)
    if empty:
        raise DataError("these genomics columns have no value in the training split:", empty)
    return Genomics(vectors.names, tuple(medians), tuple(means), tuple(stds))


def _columns(values: NDArray[np.float64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """The columns of some rows; those of few columns are in memory at once."""
    count = columns_at_once(len(rows))
    for start in range(0, values.shape[1], count):
        yield from np.ascontiguousarray(values[rows, start : start + count].T)


def finish(modality: Modality, training: Sequence[Array]) -> Modality:
    """Complete the parameters that need decoded samples: the mean and deviation of the training spectrograms."""
    if not isinstance(modality, Audio):
        return modality
    spectrograms = [modality.normalise(wave) for wave in training[:MEASURED]]
    values = np.stack(spectrograms).astype(np.float64)
    return replace(modality, mean=float(values.mean()), std=float(max(values.std(), 1e-6)))


def unfinished(modality: Modality) -> Modality:
    """A finished modality as it was when samples were decoded, which is what they are kept under."""
    if not isinstance(modality, Audio):
        return modality
    return replace(modality, mean=Audio.mean, std=Audio.std)
