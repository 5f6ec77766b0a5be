"""Audio: any sound file to a waveform of the model's rate and length, and its spectrogram."""

import contextlib
import io

import numpy as np
import pytest
import soundfile

from bundle.errors import InvalidInput, ManifestError, UnsupportedMedia
from bundle.modalities import Array, Audio
from bundle.modalities.audio import FLOOR
from bundle.modalities.sound import read_sound
from tests.bundle.media import brightening, clip, sound, talking_clip, tone, track

AUDIO = Audio(rate=8000, seconds=0.5, window=200, hop=80, bins=12)


def loudest_frequency(wave: Array, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * rate / len(wave))


@pytest.mark.parametrize("rate", [6000, 8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_tone_stays_at_its_frequency_whatever_the_rate_and_channels(rate: int, channels: int) -> None:
    wave = AUDIO.decode(sound(tone(1000, rate, 0.9, channels), rate))
    assert wave.shape == (4000,) and wave.dtype == np.float32
    assert loudest_frequency(wave, 8000) == pytest.approx(1000, abs=2)
    assert wave.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_what_is_over_half_the_models_rate_is_removed_not_folded() -> None:
    wave = AUDIO.decode(sound(tone(7000, 44_100, 0.9), 44_100))
    assert np.abs(wave).max() < 0.01


def test_stereo_is_averaged() -> None:
    left, right = tone(500, 8000, 0.5), tone(1500, 8000, 0.5)
    wave = AUDIO.decode(sound(np.hstack([left, right]), 8000, subtype="FLOAT"))
    np.testing.assert_allclose(wave, ((left + right) / 2)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 1e-6),
        ("WAV", "DOUBLE", 1e-6),
        ("WAV", "ULAW", 2e-2),
        ("WAVEX", "PCM_16", 1e-4),
        ("RF64", "PCM_16", 1e-4),
        ("FLAC", "PCM_16", 1e-4),
        ("FLAC", "PCM_24", 1e-6),
        ("AIFF", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 5e-2),
    ],
)
def test_every_sample_format_gives_the_same_wave(kind: str, subtype: str, tolerance: float) -> None:
    wave = AUDIO.decode(sound(tone(700, 8000, 0.5), 8000, kind, subtype))
    np.testing.assert_allclose(wave, tone(700, 8000, 0.5)[:, 0], atol=tolerance)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "aac"), ("flv", "aac"), ("avi", "mp2"), ("webm", "libopus")])
def test_the_sound_track_of_a_container_is_read(kind: str, codec: str) -> None:
    wave = AUDIO.decode(track(tone(900, 48_000, 1.0, 2), 48_000, kind, codec))
    assert loudest_frequency(wave, 8000) == pytest.approx(900, abs=3)
    assert wave.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_an_mp3_is_read() -> None:
    wave = AUDIO.decode(sound(tone(900, 44_100, 1.0), 44_100, "MP3"))
    assert loudest_frequency(wave, 8000) == pytest.approx(900, abs=3)


def test_an_mp3_gives_the_samples_that_libsndfile_reads() -> None:
    noise = np.convolve(np.random.default_rng(0).normal(size=20_000), np.ones(8) / 30)[:20_000]
    payload = sound(noise, 16_000, "MP3")
    expected, _ = soundfile.read(io.BytesIO(payload), dtype="float32")
    found, rate = read_sound(payload)
    assert rate == 16_000
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_broken_mp3_leaves_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    payload = bytearray(sound(np.random.default_rng(0).uniform(-0.5, 0.5, 40_000), 16_000, "MP3"))
    payload[2000:4000] = np.random.default_rng(1).bytes(2000)
    with contextlib.suppress(soundfile.LibsndfileError):
        soundfile.read(io.BytesIO(bytes(payload)))
    assert "resync" in capfd.readouterr().err, "what libsndfile does: no longer a reason to avoid it if this fails"
    with contextlib.suppress(InvalidInput):
        AUDIO.decode(bytes(payload))
    assert capfd.readouterr().err == ""


def test_the_sound_of_a_clip_with_pictures_is_read() -> None:
    wave = AUDIO.decode(talking_clip(brightening(10), tone(600, 44_100, 1.0, 2), 44_100))
    assert loudest_frequency(wave, 8000) == pytest.approx(600, abs=3)


@pytest.mark.parametrize("length", [4000, 4001, 4002, 4801, 5000, 9999, 30_000])
def test_longer_sound_is_cut_at_its_centre(length: int) -> None:
    ramp = np.linspace(-0.9, 0.9, length)
    start = (length - 4000) // 2
    wave = AUDIO.decode(sound(ramp, 8000, subtype="FLOAT"))
    np.testing.assert_array_equal(wave, ramp[start : start + 4000].astype(np.float32))


def test_a_cut_stretch_is_resampled_as_if_the_whole_file_had_been() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 60_000)
    long = AUDIO.decode(sound(noise, 22_050, subtype="FLOAT"))
    whole = Audio(rate=8000, seconds=2.5).decode(sound(noise, 22_050, subtype="FLOAT"))
    start = (len(whole) - 4000) // 2
    assert min(np.abs(long - whole[start + shift :][:4000]).max() for shift in (-1, 0, 1)) < 0.02


def test_shorter_sound_is_followed_by_silence() -> None:
    wave = AUDIO.decode(sound(tone(700, 8000, 0.2), 8000, subtype="FLOAT"))
    np.testing.assert_allclose(wave[:1600], tone(700, 8000, 0.2)[:, 0], atol=1e-6)
    assert not wave[1600:].any()


@pytest.mark.parametrize("bins", [0, 12])
@pytest.mark.parametrize(("window", "hop"), [(200, 80), (201, 67), (64, 64)])
def test_the_spectrogram_is_that_of_a_naive_double_loop(bins: int, window: int, hop: int) -> None:
    audio = Audio(rate=8000, seconds=0.1, window=window, hop=hop, bins=bins, mean=-3.0, std=2.0)
    wave = np.random.default_rng(1).normal(size=800).astype(np.float32)
    frames = 1 + 800 // hop
    power = np.zeros((window // 2 + 1, frames))
    for frame in range(frames):
        for frequency in range(window // 2 + 1):
            total = 0j
            for sample in range(window):
                position = frame * hop + sample - window // 2
                value = float(wave[position]) if 0 <= position < 800 else 0.0
                hann = 0.5 - 0.5 * np.cos(2 * np.pi * sample / window)
                total += value * hann * np.exp(-2j * np.pi * frequency * sample / window)
            power[frequency, frame] = abs(total) ** 2
    expected = np.log((mel(power, 8000, bins) if bins else power) + FLOOR)
    found = audio.normalise(wave)
    assert found.dtype == np.float32 and found.shape == audio.shape
    np.testing.assert_allclose(found[0], (expected + 3.0) / 2.0, rtol=1e-4, atol=1e-4)


def mel(power: Array, rate: int, bins: int) -> Array:
    """Triangles whose corners are evenly spaced in mel (HTK) from 20 Hz to half the rate."""
    low, high = 2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + rate / 2 / 700)
    corners = [700 * (10 ** ((low + (high - low) * index / (bins + 1)) / 2595) - 1) for index in range(bins + 2)]
    bands = np.zeros((bins, power.shape[1]))
    for band in range(bins):
        left, middle, right = corners[band : band + 3]
        for row in range(power.shape[0]):
            frequency = row * rate / 2 / (power.shape[0] - 1)
            if left < frequency <= middle:
                bands[band] += power[row] * (frequency - left) / (middle - left)
            elif middle < frequency < right:
                bands[band] += power[row] * (right - frequency) / (right - middle)
    return bands


def test_silence_and_loud_sound_stay_finite() -> None:
    for wave in (np.zeros(4000), np.full(4000, 1e9)):
        assert np.isfinite(AUDIO.normalise(wave.astype(np.float32))).all()


def test_flac_of_unknown_length_is_read() -> None:
    whole = sound(tone(700, 8000, 0.5), 8000, "FLAC")
    streamed = whole[:21] + bytes([whole[21] & 0xF0]) + bytes(4) + whole[26:]  # total samples 0: not known
    np.testing.assert_allclose(AUDIO.decode(streamed), tone(700, 8000, 0.5)[:, 0], atol=1e-3)


def test_a_wav_written_to_a_pipe_is_read() -> None:
    whole = sound(tone(700, 8000, 0.5), 8000)
    piped = whole[:4] + b"\xff\xff\xff\xff" + whole[8:40] + b"\xff\xff\xff\xff" + whole[44:]
    np.testing.assert_allclose(AUDIO.decode(piped), tone(700, 8000, 0.5)[:, 0], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    samples = tone(700, 8000, 0.5, 2)
    samples[100] = value
    with pytest.raises(InvalidInput, match="finite audio samples"):
        AUDIO.decode(sound(samples, 8000, subtype="FLOAT"))


@pytest.mark.parametrize("rate", [1, 999, 2_000_000_000])
def test_a_rate_no_sound_has_is_refused(rate: int) -> None:
    with pytest.raises(InvalidInput, match="sampling rate"):
        AUDIO.decode(sound(tone(1, 100, 1.0), rate))


def test_a_file_without_samples_is_refused() -> None:
    with pytest.raises(InvalidInput, match="without samples"):
        AUDIO.decode(sound(np.zeros((0, 1)), 8000))


def test_a_clip_without_sound_is_unsupported() -> None:
    with pytest.raises(UnsupportedMedia, match="without a sound track"):
        AUDIO.decode(clip(brightening(3)))


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_cut_sound_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)
    whole = sound(noise, 16_000, kind)
    for share in (0.01, 0.1, 0.4, 0.6, 0.9, 0.95):
        with pytest.raises(InvalidInput):
            AUDIO.decode(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("kind", ["MAT4", "HTK", "PVF"])
def test_other_formats_of_libsndfile_are_refused(kind: str) -> None:
    with pytest.raises(InvalidInput):
        AUDIO.decode(sound(tone(700, 8000, 0.5), 8000, kind))


@pytest.mark.parametrize("payload", ["text", {"a": 1.0}, [1.0]])
def test_anything_but_bytes_is_refused(payload: object) -> None:
    with pytest.raises(InvalidInput, match="instead of a file's bytes"):
        AUDIO.decode(payload)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("rate", 0),
        ("rate", -8000),
        ("seconds", 0.0),
        ("seconds", -1.0),
        ("seconds", float("nan")),
        ("seconds", 601.0),
        ("window", 1),
        ("window", 48_001),
        ("hop", 0),
        ("hop", 401),
        ("bins", -1),
        ("bins", 202),
        ("mean", float("inf")),
        ("std", 0.0),
        ("std", -1.0),
        ("std", float("nan")),
    ],
)
def test_parameters_without_sense_are_refused_at_construction(parameter: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}: expected .* found "):
        Audio(**{parameter: value})  # type: ignore[arg-type]
    with pytest.raises(ManifestError, match=f"parameters of audio: {parameter}: expected"):
        Audio.checked({parameter: value})
