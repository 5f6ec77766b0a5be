"""Genuine files of the datasets' kinds: FLV, MPEG-1, H.264 with 5.1 sound, a clip without sound, telephone WAV."""

from pathlib import Path

import numpy as np
import pytest

from bundle.errors import InvalidInput, UnsupportedMedia
from bundle.modalities import Audio, Modality, Video

WITH_SOUND = [
    "1001_DFA_ANG_XX.flv",
    "1001_DFA_DIS_XX.flv",
    "1001_DFA_FEA_XX.flv",
    "1001_DFA_HAP_XX.flv",
    "1001_DFA_NEU_XX.flv",
    "1001_DFA_SAD_XX.flv",
    "bigbuckbunny.mp4",
    "grid_bbaf2n.mpg",
]
WITH_PICTURES = [*WITH_SOUND, "carphone_pristine.mp4"]
AUDIO = Audio(rate=16_000, seconds=1.5)
VIDEO = Video(frames=3, size=48)


def read(real_data: Path, name: str) -> bytes:
    path = real_data / "media" / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return path.read_bytes()


@pytest.mark.parametrize("name", [*WITH_SOUND, "spoken_digit_8khz.wav"])
def test_the_sound_is_read(real_data: Path, name: str) -> None:
    wave = AUDIO.decode(read(real_data, name))
    assert wave.shape == (24_000,) and 0.001 < wave.std() < 0.5 and np.abs(wave).max() <= 1.5
    assert np.isfinite(AUDIO.normalise(wave)).all()


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_the_pictures_are_read(real_data: Path, name: str) -> None:
    frames = VIDEO.decode(read(real_data, name))
    assert frames.shape == VIDEO.shape
    assert frames.std() > 10 and not (frames[0] == frames[-1]).all()


def test_a_clip_without_sound_and_a_sound_without_pictures_are_unsupported(real_data: Path) -> None:
    with pytest.raises(UnsupportedMedia, match="without a sound track"):
        AUDIO.decode(read(real_data, "carphone_pristine.mp4"))
    with pytest.raises(UnsupportedMedia, match="without a picture track"):
        VIDEO.decode(read(real_data, "spoken_digit_8khz.wav"))


@pytest.mark.parametrize("name", [*WITH_PICTURES, "spoken_digit_8khz.wav"])
def test_a_cut_file_is_refused(real_data: Path, name: str) -> None:
    whole = read(real_data, name)
    modalities: list[Modality] = [VIDEO, AUDIO] if name in WITH_PICTURES else [AUDIO]
    for share in (0.001, 0.05, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999):
        for modality in modalities:
            with pytest.raises(InvalidInput):
                modality.decode(whole[: int(share * len(whole))])


def test_a_clip_in_which_a_track_begins_that_was_not_announced_is_refused(real_data: Path) -> None:
    whole = read(real_data, "1001_DFA_FEA_XX.flv")
    broken = whole[:197_000] + whole[197_007:]  # what follows is read as a tag of another kind
    for modality in (AUDIO, VIDEO):
        with pytest.raises(InvalidInput, match="a track that was not announced"):
            modality.decode(broken)


@pytest.mark.parametrize("table", ["grid_colour", "grid_digit"])
def test_clips_of_spoken_words_give_pictures_and_both_kinds_of_sound(real_data: Path, table: str) -> None:
    clips = sorted((real_data / table / "video").glob("*.mp4"))[:5]
    waves = sorted((real_data / table / "audio_noisy").glob("*.wav"))[:5]
    if not clips or not waves:
        pytest.skip(f"needs {real_data / table}")
    for path in clips:
        assert VIDEO.decode(path.read_bytes()).std() > 10
    for path in [*clips, *waves]:
        assert AUDIO.decode(path.read_bytes()).std() > 1e-4
