"""The generated data: real files whose truth is known, and a task that takes both kinds of modalities."""

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from bundle.modalities import MODALITIES, Array
from training.augment import augment
from training.config import AugmentOptions, Config
from training.datasets import _demo_media, demo
from training.datasets._demo_truth import CLASSES, truth_of
from training.datasets.demo import LEAST, Demo
from training.errors import ConfigError
from training.fit import fit
from training.methods.unimodal import Unimodal
from training.tokenizer import train_tokenizer

SIX = tuple(MODALITIES)
Row = dict[str, str]


def rows(table: Path) -> list[Row]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def generated(folder: Path, *modalities: str, samples: int = LEAST, seed: int = 0) -> Path:
    return Demo(Demo.Options(folder, samples, seed)).generate(modalities or SIX)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Least data of all six modalities."""
    return generated(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The truth columns of as many samples as are the default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_demo_media.WRITERS, "text", lambda *_: {"text": "-"})
        return rows(generated(tmp_path_factory.mktemp("truths"), "text", samples=Demo.Options().samples))


def test_all_six_modalities_decode_from_the_files(table: Path) -> None:
    found = Demo(Demo.Options(table.parent.parent, LEAST)).load(Config(modalities=SIX))
    assert tuple(found.sources) == SIX
    for name in ("audio", "video", "image", "pathology"):
        modality = MODALITIES[name]()
        for source in found.sources[name][:12]:
            assert isinstance(source, Path)
            array = modality.decode(source.read_bytes())
            assert modality.normalise(array).shape == modality.shape and array.std() > 0
    texts = [str(text) for text in found.sources["text"]]
    assert all(8 <= len(text.split()) <= 12 for text in texts)
    assert train_tokenizer(texts, 200)
    genes = found.sources["genomics"]
    assert all(isinstance(vector, dict) and len(vector) == 40 for vector in genes)
    assert any(None in vector.values() for vector in genes if isinstance(vector, dict))


def test_clips_are_h264_in_mp4(table: Path) -> None:
    for row in rows(table)[:5]:
        with av.open(io.BytesIO((table.parent / row["video"]).read_bytes()), mode="r") as clip:
            assert "mp4" in clip.format.name
            assert clip.streams.video[0].codec_context.name == "h264"
            assert len(list(clip.decode(video=0))) > 1


def test_sounds_are_wav_of_several_rates_and_channel_counts(table: Path) -> None:
    found = [soundfile.info(table.parent / row["audio"]) for row in rows(table)]
    assert {info.format for info in found} == {"WAV"}
    assert {info.samplerate for info in found} == {16_000, 22_050, 44_100}
    assert {info.channels for info in found} == {1, 2}
    assert len({info.frames for info in found}) > LEAST // 2


def kind_of(path: Path) -> str:
    with Image.open(path) as picture:
        return str(picture.format)


def test_pictures_are_png_and_jpeg_and_tiles_are_png(table: Path) -> None:
    kinds = {row["image"]: kind_of(table.parent / row["image"]) for row in rows(table)}
    assert all({".png": "PNG", ".jpg": "JPEG"}[Path(name).suffix] == kind for name, kind in kinds.items())
    assert min(Counter(kinds.values())[kind] for kind in ("PNG", "JPEG")) > LEAST // 4
    assert {kind_of(table.parent / row["pathology"]) for row in rows(table)} == {"PNG"}


def test_the_readme_says_that_the_files_are_generated(table: Path) -> None:
    text = (table.parent / "README.txt").read_text(encoding="utf-8")
    assert "generated" in text and "nothing real" in text
    for column in ("shared", "sound", "sight", "clear", "detail"):
        assert column in text and column in rows(table)[0]


def test_a_seed_gives_the_same_files_and_another_seed_gives_others(table: Path, tmp_path: Path) -> None:
    again = contents(generated(tmp_path / "again").parent)
    assert again == contents(table.parent)
    other = contents(generated(tmp_path / "other", seed=1).parent)
    assert other.keys() != again.keys() or not any(other[name] == again[name] for name in again if "READ" not in name)


def test_a_file_does_not_depend_on_which_other_modalities_are_written(table: Path, tmp_path: Path) -> None:
    two = contents(generated(tmp_path, "image", "audio").parent)
    six = contents(table.parent)
    assert all(two[name] == six[name] for name in two if name != "table.csv")


def test_labels_follow_from_the_truth(truths: list[Row]) -> None:
    for number, row in enumerate(truths):
        truth = truth_of(number, 0)
        assert (truth.label, str(truth.shared), str(truth.sound), str(truth.sight), str(int(truth.clear))) == (
            row["label"], row["shared"], row["sound"], row["sight"], row["clear"]
        )  # fmt: skip
        assert -1 <= float(row["detail"]) <= 1
    pairs = {(row["label"], row["shared"], row["sound"], row["sight"]) for row in truths}
    assert len(pairs) == len({label for label, *_ in pairs}) == CLASSES == 12


def test_classes_are_even_in_every_split_and_so_are_the_unclear(truths: list[Row]) -> None:
    sizes = {"train": 30, "val": 10, "test": 10}
    for kind, share in (("1", 0.9), ("0", 0.1)):
        counts = Counter((row["split"], row["label"]) for row in truths if row["clear"] == kind)
        assert len(counts) == 3 * CLASSES
        assert all(count == round(sizes[split] * share) for (split, _), count in counts.items())


def test_the_least_data_has_every_class_in_every_split(table: Path) -> None:
    assert len({(row["split"], row["label"]) for row in rows(table)}) == 3 * CLASSES


def best_accuracy(truths: list[Row], known: Callable[[Row], tuple[str, ...]]) -> float:
    """Of the best classifier that sees `known` and nothing else: the most frequent class of each observation."""
    seen: dict[tuple[str, ...], Counter[str]] = {}
    for row in truths:
        seen.setdefault(known(row), Counter())[row["label"]] += 1
    return sum(max(counts.values()) for counts in seen.values()) / len(truths)


def heard(row: Row) -> tuple[str, ...]:
    """What audio, text or genomics can tell at best."""
    return (row["sound"], row["shared"] if row["clear"] == "1" else "")


def seen(row: Row) -> tuple[str, ...]:
    """What video, image or pathology can tell at best."""
    return (row["sight"], row["shared"])


def test_neither_kind_of_modality_suffices_and_both_together_do(truths: list[Row]) -> None:
    assert best_accuracy(truths, heard) == pytest.approx(0.9 / 2 + 0.1 / 6)
    assert best_accuracy(truths, seen) == pytest.approx(1 / 2)
    assert best_accuracy(truths, lambda row: heard(row) + seen(row)) == 1.0
    assert best_accuracy(truths, lambda row: (*heard(row), row["sight"])) == pytest.approx(0.9 + 0.1 / 3)


def test_detail_is_independent_of_the_class(truths: list[Row]) -> None:
    for part in ("shared", "sound", "sight", "clear"):
        for value in {row[part] for row in truths}:
            details = np.array([float(row["detail"]) for row in truths if row[part] == value])
            assert abs(details.mean()) < 4 * 0.58 / len(details) ** 0.5


def strongest(wave: Array, rate: int) -> float:
    """Frequency of the highest spectral peak, in hertz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * rate / len(wave))


def test_pitch_tells_shared_where_it_is_clear_and_nothing_elsewhere(table: Path) -> None:
    for row in rows(table):
        wave, rate = soundfile.read(table.parent / row["audio"], always_2d=True)
        pitch = _demo_media.PITCHES[int(row["shared"])] * _demo_media.WIDER ** -float(row["detail"])
        expected = pitch if row["clear"] == "1" else _demo_media.UNCLEAR_PITCH
        assert strongest(wave[:, 0], rate) == pytest.approx(expected, abs=9)  # a pulsing tone has side bands


def spacing(pixels: Array) -> float:
    """Distance of the stripes in the corners and edges of `(size, size)` pixels, from the strongest plane wave."""
    size = len(pixels)
    plain = pixels - pixels.mean()
    plain[size // 5 : -size // 5] = 0.0  # where the disc or ring is
    power = np.abs(np.fft.fft2(plain, (128, 128))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    bands = [(low, low * 1.08) for low in 0.07 * 1.08 ** np.arange(20)]
    heights = [power[(frequency >= low) & (frequency < high)].max() for low, high in bands]
    return float(1 / np.mean(bands[int(np.argmax(heights))]))


@pytest.mark.parametrize("turned", [False, True])
def test_stripes_tell_shared_in_frames_also_when_mirrored_or_turned(table: Path, turned: bool) -> None:
    video = MODALITIES["video"].checked({"frames": 4, "size": _demo_media.SIDE})
    right = 0
    chosen = rows(table)
    for number, row in enumerate(chosen):
        frames = video.decode((table.parent / row["video"]).read_bytes())
        if turned:
            kind = ("video", "pathology")[number % 2]
            frames = augment(kind, frames, AugmentOptions(crop=1.0), np.random.default_rng(number))
        distance = np.median([spacing(frame.mean(axis=0)) for frame in frames])
        nearest = np.abs(np.log(distance / np.array(_demo_media.PERIODS))).argmin()
        right += int(nearest == int(row["shared"]))
    assert right / len(chosen) > 0.7


def test_generating_is_not_repeated(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_demo_media, "WRITERS", {})
    before = {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")}
    assert generated(table.parent.parent) == table
    assert {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")} == before


def test_an_interrupted_generation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, number: int, *rest: object) -> dict[str, object]:
        if number == 7:
            raise KeyboardInterrupt
        return {"text": "-"}

    with monkeypatch.context() as patch:
        patch.setitem(_demo_media.WRITERS, "text", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generated(tmp_path, "audio", "text")
    assert not list(tmp_path.iterdir())
    assert len(rows(generated(tmp_path, "audio", "text"))) == LEAST


def test_what_a_killed_generation_left_is_not_used(tmp_path: Path) -> None:
    whole = generated(tmp_path, "text", "genomics")
    expected = contents(whole.parent)
    half = tmp_path / f".{whole.parent.name}-1"
    shutil.copytree(whole.parent, half)
    whole.unlink()  # a folder without its table, and one written aside by a process that is no more
    assert contents(generated(tmp_path, "text", "genomics").parent) == expected


def test_two_generations_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = demo._write_table
    monkeypatch.setattr("os.getpid", lambda: 1)

    def overtaken(folder: Path, table: list[dict[str, object]]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(demo, "_write_table", write)
            patch.setattr("os.getpid", lambda: 2)
            generated(tmp_path, "text", "genomics")
        write(folder, table)

    monkeypatch.setattr(demo, "_write_table", overtaken)
    assert len(rows(generated(tmp_path, "text", "genomics"))) == LEAST
    assert len(list(tmp_path.iterdir())) == 1


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match=f"at least {LEAST} .* not {LEAST - 1}"):
        Demo.Options(samples=LEAST - 1)
    with pytest.raises(ConfigError, match="generation_seed"):
        Demo.Options(generation_seed=-1)


@pytest.mark.parametrize(("modalities", "message"), [(("audio", "smell"), "'smell'"), (("audio",), "two or more")])
def test_modalities_that_cannot_be_are_refused(tmp_path: Path, modalities: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Demo(Demo.Options(tmp_path)).load(Config(modalities=modalities))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        Demo(Demo.Options(tmp_path / "file")).load(Config(modalities=("text", "genomics")))


def test_a_short_training_on_the_recipe_beats_chance(tmp_path: Path) -> None:
    recipe = Demo.recipe(Config(method="unimodal", out=tmp_path / "run", device="cpu"))
    result = fit(
        replace(
            recipe,
            epochs=6,
            dataset_options=Demo.Options(tmp_path / "data", samples=4 * LEAST),
            method_options=Unimodal.Options(),
        )
    )
    assert result.test.accuracy > 0.3  # chance is 1/12
    assert all(accuracy > 0.12 for accuracy in result.test.modality_accuracy.values())
