"""Limits: each has a safe default, and what is over one is refused."""

from dataclasses import fields

import numpy as np
import pytest

from bundle.errors import InvalidInput, TooLarge
from bundle.limits import Limits
from bundle.modalities import Audio
from bundle.work import Work, limits
from tests.bundle.media import sound, tone, track

AUDIO = Audio(rate=8000, seconds=0.5)


@pytest.mark.parametrize("name", [entry.name for entry in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_without_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected a finite number over 0, found"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_outside_of_any_work_the_defaults_hold() -> None:
    small = Limits(pixels=1)
    assert limits() == Limits()
    with Work(small).active():
        assert limits() is small
        with Work().active():
            assert limits() == Limits()
        assert limits() is small
    assert limits() == Limits()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_sound_file_over_the_limit_is_refused_however_short_a_stretch_the_model_hears(kind: str) -> None:
    payload = sound(tone(500, 8000, 2.0), 8000, kind)
    with Work(Limits(audio_seconds=1.5)).active(), pytest.raises(TooLarge, match=r"at most 1\.5 seconds"):
        AUDIO.decode(payload)
    with Work(Limits(audio_seconds=2.5)).active():
        assert AUDIO.decode(payload).shape == (4000,)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "aac"), ("flv", "aac"), ("webm", "libopus"), ("mp4", "flac")])
def test_a_sound_track_over_the_limit_is_refused(kind: str, codec: str) -> None:
    payload = track(tone(500, 48_000, 2.0), 48_000, kind, codec)
    with Work(Limits(audio_seconds=1.5, video_seconds=0.1)).active(), pytest.raises(TooLarge, match=r"at most 1\.5"):
        AUDIO.decode(payload)
    with Work(Limits(audio_seconds=2.5, video_seconds=0.1)).active():
        assert AUDIO.decode(payload).shape == (4000,)


@pytest.mark.parametrize("contained", [False, True])
def test_sound_of_a_very_high_rate_must_be_shorter(contained: bool) -> None:
    silence = np.zeros((9_000_000, 2), np.float32)
    payload = track(silence, 192_000, "matroska", "flac") if contained else sound(silence, 192_000, "FLAC")
    audio = Audio(rate=8000, seconds=40)
    with Work(Limits(audio_seconds=47)).active():
        assert audio.decode(payload).shape == (320_000,)
    with Work(Limits(audio_seconds=47)).active(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("bundle.limits.FEW_SAMPLES", 0)
        with pytest.raises(TooLarge, match="at most 4,512,000 samples"):
            audio.decode(payload)


def test_of_a_long_track_the_centre_is_taken() -> None:
    ramp = np.linspace(-0.9, 0.9, 40_000)[:, None]
    wave = AUDIO.decode(track(ramp, 8000, "matroska", "flac"))
    np.testing.assert_allclose(wave, ramp[18_000:22_000, 0], atol=1e-3)


@pytest.mark.parametrize("hours", [1, 13])
def test_a_wav_whose_header_promises_hours_is_cut_short(hours: int) -> None:
    whole = sound(tone(500, 8000, 0.5), 8000)
    assert whole[36:40] == b"data"
    promised = (hours * 3600 * 8000 * 2).to_bytes(4, "little")
    with pytest.raises(InvalidInput, match="cut short") as caught:
        AUDIO.decode(whole[:40] + promised + whole[44:])
    assert type(caught.value) is InvalidInput


def test_a_wav_that_does_last_an_hour_is_too_large() -> None:
    with pytest.raises(TooLarge, match="at most 600 seconds of sound, received 3600 seconds"):
        AUDIO.decode(sound(np.zeros((3_600_000, 1), np.int16), 1000, subtype="PCM_U8"))
