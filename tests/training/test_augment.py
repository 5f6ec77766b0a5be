"""Random changes: of the same shape and type, the same for every frame, and none when turned off."""

from dataclasses import replace

import numpy as np
import pytest

from bundle.modalities import MODALITIES, Array
from training.augment import augment
from training.config import AugmentOptions

OPTIONS = AugmentOptions()
NONE = AugmentOptions(crop=1.0, flip=False, shift=0.0, gain=0.0, noise=0.0, token_dropout=0.0, gene_dropout=0.0)


def sample(modality: str) -> Array:
    generator = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        "audio": generator.uniform(-0.5, 0.5, 800).astype(np.float32),
        "video": generator.integers(0, 256, (3, 3, 16, 16), dtype=np.uint8),
        "image": generator.integers(0, 256, (3, 16, 16), dtype=np.uint8),
        "text": np.arange(2, 40, dtype=np.int64),
        "pathology": generator.integers(0, 256, (3, 16, 16), dtype=np.uint8),
        "genomics": generator.normal(size=50).astype(np.float32),
    }
    return arrays[modality]


def change(modality: str, seed: int, options: AugmentOptions = OPTIONS, array: Array | None = None) -> Array:
    return augment(modality, sample(modality) if array is None else array, options, np.random.default_rng(seed))


@pytest.mark.parametrize("modality", list(MODALITIES))
def test_shape_and_type_stay_as_they_are(modality: str) -> None:
    before = sample(modality)
    for seed in range(20):
        after = change(modality, seed)
        assert after.dtype == before.dtype and after.ndim == before.ndim
        assert after.shape == before.shape or (modality == "text" and 2 <= len(after) <= len(before))
        assert after.flags.c_contiguous


@pytest.mark.parametrize("modality", list(MODALITIES))
def test_something_changes_the_same_way_for_the_same_generator(modality: str) -> None:
    assert np.array_equal(change(modality, 1), change(modality, 1), equal_nan=modality == "genomics")
    distinct = {change(modality, seed).tobytes() for seed in range(8)}
    assert len(distinct) > 4


@pytest.mark.parametrize("modality", list(MODALITIES))
def test_the_sample_itself_is_left_alone(modality: str) -> None:
    before = sample(modality)
    before.flags.writeable = False
    change(modality, 3, array=before)
    assert np.array_equal(before, sample(modality))


@pytest.mark.parametrize("modality", list(MODALITIES))
def test_turned_off_nothing_changes(modality: str) -> None:
    before = sample(modality)
    assert augment(modality, before, replace(OPTIONS, enabled=False), np.random.default_rng(0)) is before


@pytest.mark.parametrize("modality", [name for name in MODALITIES if name != "pathology"])
def test_changes_of_size_nothing_change_nothing(modality: str) -> None:
    assert np.array_equal(change(modality, 5, NONE), sample(modality))


def test_the_frames_of_a_clip_share_one_crop_and_one_mirror() -> None:
    frame = sample("image")
    for seed in range(12):
        after = change("video", seed, array=np.stack([frame] * 4))
        assert all((after[0] == other).all() for other in after[1:])


def test_a_crop_keeps_at_least_the_stated_share() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8), (3, 64, 64))
    for seed in range(20):
        after = change("image", seed, replace(OPTIONS, crop=0.5, flip=False), np.ascontiguousarray(ramp))
        assert int(after.max()) - int(after.min()) >= 255 * np.sqrt(0.5) * 0.95


@pytest.mark.parametrize("side", [1, 2, 17, 113])
def test_a_picture_of_any_size_can_be_cropped(side: int) -> None:
    for seed in range(20):
        assert change("image", seed, array=np.zeros((1, side, side), np.uint8)).shape == (1, side, side)


def test_tiles_are_turned_into_all_eight_positions() -> None:
    corner = np.zeros((3, 4, 4), np.uint8)
    corner[:, 0, 1] = 255
    options = replace(OPTIONS, crop=1.0, flip=False)
    found = {change("pathology", seed, options, corner).tobytes() for seed in range(100)}
    assert len(found) == 8


def test_a_shift_in_time_is_filled_with_silence_and_not_with_the_other_end() -> None:
    wave = np.linspace(0.1, 1, 100).astype(np.float32)
    options = replace(NONE, shift=0.5)
    steps = set()
    for seed in range(40):
        after = change("audio", seed, options, wave)
        kept = np.flatnonzero(after)
        steps.add(int(kept[0]) - int(100 - 1 - kept[-1]))
        start, stop = kept[0], kept[-1] + 1
        assert (after[start:stop] == (wave[: stop - start] if start else wave[-(stop - start) :])).all()
    assert min(steps) < -30 and max(steps) > 30


@pytest.mark.parametrize("shift", [1.0, 0.0])
def test_the_whole_length_may_be_shifted_away_or_nothing(shift: float) -> None:
    for seed in range(30):
        assert np.isfinite(change("audio", seed, replace(OPTIONS, shift=shift))).all()


def test_loudness_changes_within_the_stated_decibels() -> None:
    factors = [
        float(change("audio", seed, replace(NONE, gain=6.0)).max() / sample("audio").max()) for seed in range(50)
    ]
    assert 0.501 <= min(factors) < 0.7 and 1.4 < max(factors) <= 1.996


def test_silence_stays_silent() -> None:
    assert not change("audio", 0, array=np.zeros(100, np.float32)).any()


def test_a_text_keeps_its_first_and_last_token_and_its_order() -> None:
    for seed in range(20):
        after = change("text", seed, replace(OPTIONS, token_dropout=0.9))
        assert (after[0], after[-1]) == (2, 39) and (np.diff(after) > 0).all()


@pytest.mark.parametrize("length", [1, 2])
def test_a_text_of_few_tokens_is_kept(length: int) -> None:
    assert len(change("text", 0, replace(OPTIONS, token_dropout=0.99), np.arange(length))) == length


def test_genes_become_missing_at_the_stated_rate() -> None:
    gone = np.isnan([change("genomics", seed, replace(OPTIONS, gene_dropout=0.3)) for seed in range(100)]).mean()
    assert 0.27 < gone < 0.33
