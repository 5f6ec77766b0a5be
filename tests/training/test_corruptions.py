"""Corruptions: of the same shape and type, always the same, and worse with every severity."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from bundle.modalities import MODALITIES, Array, Modality
from bundle.modalities.audio import Audio
from bundle.modalities.genomics import Genomics
from bundle.modalities.image import Image
from bundle.modalities.text import Text
from bundle.modalities.video import Video
from tests.bundle.media import colourful, tone
from training.corruptions import letters
from training.corruptions.corruption import SEVERITIES, Corruption, Subject
from training.corruptions.known import CORRUPTIONS, SHARES
from training.pairs import Source
from training.tokenizer import train_tokenizer

WORDS = "the quick brown fox jumps over the lazy dog while seven wizards draw black quartz and mix vexing pink jade"
COLUMNS = tuple(f"gene_{number}" for number in range(60))
STDS = tuple(10.0 ** (number % 4) for number in range(60))
EVERY = [(name, corruption) for name, found in CORRUPTIONS.items() for corruption in found]
every = pytest.mark.parametrize(("name", "corruption"), EVERY, ids=[f"{name}: {one.name}" for name, one in EVERY])


def picture(seed: int) -> Array:
    return colourful(64, 64, seed).transpose(2, 0, 1)


def kinds() -> dict[str, Modality]:
    genes = Genomics(COLUMNS, (0.0,) * 60, (0.0,) * 60, STDS)
    text = Text(train_tokenizer([WORDS] * 3, 200), 64)
    video = Video(frames=2, size=64)
    return {"audio": Audio(rate=8000, seconds=1.0), "image": Image(size=64), "video": video, "text": text} | {
        "pathology": MODALITIES["pathology"](size=64),  # type: ignore[call-arg]
        "genomics": genes,
    }


KINDS = kinds()


def subject(name: str, seed: int = 0) -> Subject:
    generator = np.random.default_rng(seed)
    source: Source = WORDS
    if name == "text":
        array = KINDS[name].decode(WORDS)
    elif name == "genomics":
        array = (generator.normal(size=60) * np.array(STDS)).astype(np.float32)
        array[7] = np.nan
    elif name == "audio":
        wave = tone(300.0, 8000, 0.8)[:, 0] + 0.1 * generator.standard_normal(6400)
        array = np.pad(wave, (0, 1600)).astype(np.float32)
    else:
        array = picture(seed)
    return Subject(np.stack([array, array[::-1]]) if name == "video" else array, KINDS[name], source)


def edits(one: Array, other: Array) -> float:
    """Levenshtein's distance of two sequences."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return float(row[-1])


def lost(one: Array, other: Array) -> float:
    """Distance of vectors in their columns' units, a lost value counting one unit."""
    gone = np.isnan(other) & ~np.isnan(one)
    there = ~np.isnan(one) & ~np.isnan(other)
    return float(gone.sum() + np.square((one - other)[there] / np.array(STDS)[there]).sum())


def away(one: Array, other: Array) -> float:
    return float(np.square(one.astype(np.float64) - other).sum())


DISTANCES: dict[str, Callable[[Array, Array], float]] = {"text": edits, "genomics": lost}


@every
def test_shape_and_type_stay_and_the_original_is_left_alone(name: str, corruption: Corruption) -> None:
    given = subject(name)
    before = given.array.copy()
    for severity in range(1, SEVERITIES + 1):
        found = corruption.apply(given, severity, (0, 5))
        assert found.dtype == before.dtype
        assert found.shape == before.shape or (name == "text" and found.ndim == 1 and len(found) >= 2)
        expected = KINDS[name].shape
        shape = KINDS[name].normalise(found).shape
        assert all(size in (None, own) for size, own in zip(expected, shape, strict=True))
    assert np.array_equal(given.array, before, equal_nan=name == "genomics")


@every
def test_severities_really_grow(name: str, corruption: Corruption) -> None:
    distance = DISTANCES.get(name, away)
    means = [0.0]
    for severity in range(1, SEVERITIES + 1):
        found = [
            distance(subject(name, s).array, corruption.apply(subject(name, s), severity, (0, s))) for s in range(6)
        ]
        means.append(float(np.mean(found)))
    assert all(one < other for one, other in pairwise(means)), means


@every
def test_the_seed_decides_everything(name: str, corruption: Corruption) -> None:
    one, same, other = (corruption.apply(subject(name), 3, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert one.tobytes() == same.tobytes()
    fixed = corruption.name in ("blur", "JPEG compression", "narrow band", "quantisation")
    assert (one.tobytes() == other.tobytes()) == fixed


def test_every_modality_has_corruptions_and_each_its_levels() -> None:
    assert set(CORRUPTIONS) == set(MODALITIES)
    assert all(len(one.levels) == SEVERITIES and one.meaning for _, one in EVERY) and len(SHARES) == SEVERITIES
    for found in CORRUPTIONS.values():
        assert len({one.name for one in found}) == len(found) >= 2


def test_the_levels_are_what_they_say() -> None:
    """Noise of a standard deviation, a ratio in decibels, a share of tokens and of values."""
    grey = Subject(np.full((3, 64, 64), 128, np.uint8), KINDS["image"], "")
    noise = CORRUPTIONS["image"][0].apply(grey, 1, (0,)) / 255.0
    assert float(noise.std()) == pytest.approx(CORRUPTIONS["image"][0].levels[0], rel=0.05)
    wave = subject("audio")
    for severity in (1, 5):
        added = CORRUPTIONS["audio"][0].apply(wave, severity, (0,)) - wave.array
        heard = wave.array != 0
        ratio = np.square(wave.array[heard]).mean() / np.square(added[heard]).mean()
        assert 10 * np.log10(ratio) == pytest.approx(CORRUPTIONS["audio"][0].levels[severity - 1], abs=0.3)
    ids = Subject(np.arange(2000), KINDS["text"], WORDS)
    assert len(CORRUPTIONS["text"][0].apply(ids, 4, (0,))) == pytest.approx(1000, rel=0.1)
    many = KINDS["genomics"]
    gone = np.isnan(CORRUPTIONS["genomics"][1].apply(Subject(np.zeros(60, np.float32), many, ""), 5, (0,)))
    assert 0.75 < gone.mean() < 1
    noisy = [CORRUPTIONS["genomics"][0].apply(Subject(np.zeros(60, np.float32), many, ""), 4, (s,)) for s in range(80)]
    assert np.std(noisy, axis=0) / np.array(STDS) == pytest.approx(1.5, rel=0.3), "in each column's own unit"


def test_a_narrow_band_has_nothing_above_it() -> None:
    wave = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    found = CORRUPTIONS["audio"][1].apply(Subject(wave, KINDS["audio"], ""), 2, (0,))
    power = np.abs(np.fft.rfft(found))
    edge = round(0.5 * (len(power) - 1))
    assert power[edge + 1 :].max() < 1e-3 * power[: edge + 1].max()


def test_silence_stays_silent() -> None:
    for corruption in CORRUPTIONS["audio"]:
        found = corruption.apply(subject("audio"), 5, (0,))
        assert not found[6400:].any() and found[:6400].any()
        assert not corruption.apply(Subject(np.zeros(80, np.float32), KINDS["audio"], ""), 5, (0,)).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_pictures_and_every_frame_are_compressed(channels: int) -> None:
    frames = np.stack([picture(seed)[:channels] for seed in range(3)])
    given = Subject(frames, KINDS["video"], "")
    found = CORRUPTIONS["video"][2].apply(given, 5, (0,))
    alone = [CORRUPTIONS["image"][2].apply(Subject(frame, KINDS["image"], ""), 5, (0,)) for frame in frames]
    assert np.array_equal(found, np.stack(alone)) and not np.array_equal(found, frames)


def test_something_always_stays() -> None:
    pair = Subject(np.array([2, 9, 3]), KINDS["text"], WORDS)
    for seed in range(20):
        assert CORRUPTIONS["text"][0].apply(pair, 5, (seed,)).tolist() == [2, 9, 3]
    lonely = np.full(60, np.nan, np.float32)
    lonely[3] = 1.0
    for seed in range(20):
        found = CORRUPTIONS["genomics"][1].apply(Subject(lonely, KINDS["genomics"], ""), 5, (seed,))
        assert found[3] == 1.0
    single = Subject(KINDS["text"].decode("a"), KINDS["text"], "a")
    for seed in range(40):
        assert len(CORRUPTIONS["text"][1].apply(single, 5, (seed,))) >= 1


def test_letters_are_dropped_doubled_changed_and_swapped_and_nothing_else_is() -> None:
    assert letters.mistyped(WORDS, 0.0, np.random.default_rng(0)) == WORDS
    digits = "1984: 451 + 2001!"
    assert letters.mistyped(digits, 1.0, np.random.default_rng(0)) == digits
    seen = {letters.mistyped("ab", 1.0, np.random.default_rng(seed)) for seed in range(400)}
    assert {"", "aabb", "ba"} <= seen and any(len(found) == 2 and found not in ("ab", "ba") for found in seen)
    for seed in range(50):
        found = letters.mistyped(WORDS, 0.1, np.random.default_rng(seed))
        assert 0.7 * len(WORDS) < len(found) < 1.3 * len(WORDS)
