"""Random frames: drawn from a pool in training, those of serving everywhere else."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import Video
from bundle.modalities.modality import Array
from bundle.modalities.video import evenly
from tests.bundle.media import brightening, clip
from tests.training.conftest import Fit
from training.checkpoint import read
from training.config import AugmentOptions, Config, VideoOptions
from training.errors import ConfigError
from training.fit import prepare
from training.frames import Evaluated, draw, widened
from training.loading import evaluation_loader, training_loader
from training.preparation import Prepared
from training.reporting.features import restore

FRAMES, POOL = 2, 5


@pytest.mark.parametrize("count", [1, 2, 7, 11, 30, 101])
@pytest.mark.parametrize(("frames", "pool"), [(1, 3), (2, 5), (3, 3), (4, 3), (7, 9)])
def test_the_frames_of_serving_are_the_middle_ones_of_the_pool(count: int, frames: int, pool: int) -> None:
    assert (evenly(count, frames * pool)[pool // 2 :: pool] == evenly(count, frames)).all()


@pytest.mark.parametrize("length", [1, 3, 13])
def test_evaluated_frames_are_what_serving_decodes(length: int) -> None:
    served = Video(3, 16)
    wide = widened(served, Config(video=VideoOptions(pool=3)))
    payload = clip(brightening(length))
    found = Evaluated([wide.decode(payload)], 3)
    assert wide.shape[0] == 9 and len(found) == 1
    assert np.array_equal(found[0], served.decode(payload))


def test_any_frames_are_drawn_alike_each_once_and_in_order() -> None:
    pool = np.arange(6)[:, None]
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(4_000):
        counts[tuple(draw(pool, 3, np.random.default_rng(seed))[:, 0].tolist())] += 1
    assert all(list(drawn) == sorted(set(drawn)) for drawn in counts)
    assert len(counts) == 20 and min(counts.values()) > 130 and max(counts.values()) < 280  # 200 expected


@pytest.fixture
def config(table: Path, configure: Callable[..., Config]) -> Config:
    """Frames and pool, and no other change of a sample that would hide which frames were taken."""
    options = ("--video.frames", FRAMES, "--video.pool", POOL, "--modalities", "video", "text", "--augment.crop", 1)
    return configure(table, "--method", "joint", *options, "--augment.no-flip")


@pytest.fixture
def prepared(config: Config) -> Prepared:
    return prepare(config)


def drawn(config: Config, prepared: Prepared, epoch: int) -> dict[int, Array]:
    loader, set_epoch = training_loader(config, prepared)
    set_epoch(epoch)
    found: dict[int, Array] = {}
    for batch in loader:
        found |= dict(zip(batch.samples.tolist(), batch.inputs["video"].numpy(), strict=True))
    return found


def equal(one: dict[int, Array], other: dict[int, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[sample], other[sample]) for sample in one)


def test_training_draws_frames_of_the_pool_anew_each_epoch(config: Config, prepared: Prepared) -> None:
    first = drawn(config, prepared, 0)
    assert equal(first, drawn(config, prepared, 0)), "by seed, epoch and sample alone"
    assert equal(first, drawn(replace(config, workers=2, batch_size=5), prepared, 0))
    assert not equal(first, drawn(config, prepared, 1))
    assert not equal(first, drawn(replace(config, seed=1), prepared, 0))
    for sample, frames in first.items():
        pool = list(prepared.pools["video"][sample])
        assert len(pool) == FRAMES * POOL and len(frames) == FRAMES
        assert all(any(np.array_equal(frame, other) for other in pool) for frame in frames)


def test_without_a_pool_or_augmentation_and_at_evaluation_frames_are_those_of_serving(
    config: Config, prepared: Prepared
) -> None:
    served = prepared.modalities["video"]
    assert served == Video(FRAMES, 16)
    expected = {
        sample: served.decode(Path(str(source)).read_bytes())
        for sample, source in enumerate(prepared.pairs.sources["video"])
    }
    one = replace(config, video=replace(config.video, pool=1))
    quiet = replace(config, augment=AugmentOptions(enabled=False))
    for found in (drawn(one, prepare(one), 3), drawn(quiet, prepared, 3)):
        assert equal(found, {sample: expected[sample] for sample in found})
    for split in ("train", "val", "test"):
        for batch in evaluation_loader(config, prepared, split):
            for sample, frames in zip(batch.samples.tolist(), batch.inputs["video"].numpy(), strict=True):
                assert np.array_equal(frames, expected[sample])


def test_a_run_with_a_pool_is_reported_on_from_the_same_cache(
    table: Path, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--video.pool", POOL, "--modalities", "video", "text", "--method", "joint")
    assert fit(table, *options) == 0
    run = read(tmp_path / "run")

    def never(*_: object) -> Array:
        raise AssertionError("decoded again")

    monkeypatch.setattr(Video, "decode", never)
    assert restore(run).arrays["video"][0].shape == (2, 3, 16, 16)


@pytest.mark.parametrize("pool", [0, -1, 2, 10])
def test_a_pool_without_a_middle_is_refused(pool: int) -> None:
    with pytest.raises(ConfigError, match=f"video.pool must be an odd number from 1, not {pool}"):
        VideoOptions(pool=pool)
