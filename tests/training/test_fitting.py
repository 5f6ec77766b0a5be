"""What preprocessing learns from the data: the training split, all of it, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bundle.modalities import Audio, Genomics, Image, Modality, Pathology, Text, Video
from tests.bundle.media import sound, tone
from tests.training.tables import Row, changed, write_csv
from training.config import Config
from training.errors import ConfigError
from training.fit import prepare
from training.preparation import Prepared
from training.tokenizer import train_tokenizer

Prepare = Callable[[list[Row]], Prepared]


@pytest.fixture
def prepared(tmp_path: Path, configure: Callable[..., Config]) -> Prepare:
    def run(rows: list[Row]) -> Prepared:
        return prepare(configure(write_csv(tmp_path / "table.csv", rows), "--method", "joint"))

    return run


def training(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["split"] == "train"]


def test_the_options_reach_the_preprocessing(rows: list[Row], prepared: Prepare) -> None:
    found = prepared(rows).modalities
    assert found["image"] == Image(16) and found["pathology"] == Pathology(16) and found["video"] == Video(2, 16)
    audio, text = found["audio"], found["text"]
    assert isinstance(audio, Audio) and (audio.rate, audio.window, audio.hop, audio.bins) == (2000, 64, 64, 8)
    assert isinstance(text, Text) and text.max_length == 8


def test_the_length_of_sound_is_that_of_the_longest_training_clip(
    rows: list[Row], prepared: Prepare, tmp_path: Path
) -> None:
    longest = max(soundfile.info(row["audio"]).duration for row in training(rows))
    audio = prepared(rows).modalities["audio"]
    assert isinstance(audio, Audio)
    assert audio.seconds == pytest.approx(np.ceil(longest * 20) / 20) and audio.seconds >= longest
    (tmp_path / "long.wav").write_bytes(sound(tone(400, 4000, 3.0), 4000))
    other = prepared(changed(rows, 6, split="val", audio=str(tmp_path / "long.wav"))).modalities["audio"]
    assert isinstance(other, Audio) and other.seconds == audio.seconds, "a longer clip of another split changes nothing"


def test_the_length_of_sound_in_clips_is_measured_too(rows: list[Row], prepared: Prepare) -> None:
    audio = prepared([row | {"audio": row["video"]} for row in rows]).modalities["audio"]
    assert isinstance(audio, Audio) and 0.3 <= audio.seconds <= 0.5


def test_spectrogram_statistics_are_those_of_the_training_split(rows: list[Row], prepared: Prepare) -> None:
    audio = prepared(rows).modalities["audio"]
    assert isinstance(audio, Audio)
    plain = Audio(audio.rate, audio.seconds, audio.window, audio.hop, audio.bins)
    values = np.concatenate(
        [plain.normalise(plain.decode(Path(row["audio"]).read_bytes())).ravel() for row in training(rows)]
    ).astype(np.float64)
    assert audio.mean == pytest.approx(values.mean(), rel=1e-6)
    assert audio.std == pytest.approx(values.std(), rel=1e-6)


def test_gene_statistics_equal_a_naive_computation(rows: list[Row], prepared: Prepare) -> None:
    for number in (0, 4, 12, 14):
        rows[number]["gene_1"] = ""
    genomics = prepared(rows).modalities["genomics"]
    assert isinstance(genomics, Genomics)
    assert genomics.columns == tuple(f"gene_{gene}" for gene in range(5))
    for position, column in enumerate(genomics.columns):
        given = sorted(float(row[column]) for row in training(rows) if row[column])
        middle = len(given) // 2
        median = given[middle] if len(given) % 2 else (given[middle - 1] + given[middle]) / 2
        filled = [float(row[column]) if row[column] else median for row in training(rows)]
        mean = sum(filled) / len(filled)
        deviation = (sum((value - mean) ** 2 for value in filled) / len(filled)) ** 0.5
        assert genomics.medians[position] == pytest.approx(median)
        assert genomics.means[position] == pytest.approx(mean)
        assert genomics.stds[position] == pytest.approx(deviation)


@pytest.mark.parametrize("value", ["0.1", "7", "-123456.7"])
def test_a_constant_gene_keeps_its_unit(value: str, rows: list[Row], prepared: Prepare) -> None:
    found = prepared([row | {"gene_1": value} for row in rows])
    genomics = found.modalities["genomics"]
    assert isinstance(genomics, Genomics) and genomics.stds[1] == 1.0
    assert abs(genomics.normalise(np.asarray(found.arrays["genomics"][0]))[1]) < 0.01, "rounding is not blown up"


def test_nothing_leaks_from_validation_and_test(rows: list[Row], prepared: Prepare) -> None:
    others = [number for number, row in enumerate(rows) if row["split"] != "train"]
    replaced = [dict(row) for row in rows]
    for number in others:
        source = training(rows)[number % 12]
        files = {name: source[name] for name in ("audio", "video", "image", "pathology")}
        replaced[number] |= files | {"text": f"unheard words {number} zebra quux", "gene_0": "99999", "gene_4": "-1e9"}
    one, other = prepared(rows), prepared(replaced)
    assert one.modalities == other.modalities
    text = one.modalities["text"]
    assert isinstance(text, Text) and "zebra" not in text.tokenizer


def test_the_training_split_does_matter(rows: list[Row], prepared: Prepare) -> None:
    one, other = prepared(rows), prepared(changed(rows, 0, text="zebra quux", gene_0="999"))
    assert one.modalities["text"] != other.modalities["text"]
    assert one.modalities["genomics"] != other.modalities["genomics"]


def test_the_tokenizer_is_the_same_for_the_same_texts(rows: list[Row]) -> None:
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefg"), 5)) for _ in range(200)]
    texts = [" ".join(generator.choice(words, 8)) for _ in range(60)]
    assert len({train_tokenizer(texts, 150) for _ in range(8)}) == 1


def test_the_tokenizer_lowers_pads_with_0_and_frames_a_text() -> None:
    text = Text(train_tokenizer(["The cat and the dog", "the owl"], 100), 16)
    ids = text.decode("THE dog")
    assert (ids == text.decode("the DOG")).all()
    assert (ids[0], ids[-1]) == (2, 3) and 0 not in ids and 1 not in ids
    assert 1 in text.decode("日本"), "letters that were never seen are unknown"
    assert text.vocabulary <= 100


def test_every_letter_is_in_the_vocabulary_however_small() -> None:
    text = Text(train_tokenizer(["abc cab bca"], 5), 16)
    assert 1 not in text.decode("abc cba aaa")


def test_inner_pieces_are_no_special_tokens() -> None:
    text = Text(train_tokenizer(["ab ab ## b"], 50), 16)
    assert (text.decode("a ##b") == text.decode("a # # b")).all()


def test_pieces_written_like_special_tokens_do_not_break_the_tokenizer() -> None:
    assert len(Text(train_tokenizer(["[CLS] a [PAD] b"], 50), 16).decode("a [PAD] b")) >= 4


def test_a_parameter_that_cannot_be_is_an_error_of_its_modality(
    rows: list[Row], configure: Callable[..., Config], tmp_path: Path
) -> None:
    config = configure(write_csv(tmp_path / "table.csv", rows), "--image.size", "5000")
    with pytest.raises(ConfigError, match=r"^image: size: expected a whole number from 1 to 4096, found 5000$"):
        prepare(config)


def test_a_modality_with_fitted_parameters_survives_a_manifest(
    rows: list[Row], prepared: Prepare, tmp_path: Path
) -> None:
    for modality in prepared(rows).modalities.values():
        for name, content in modality.files().items():
            (tmp_path / name).write_bytes(content)
        restored: Modality = type(modality).restore(modality.parameters(), tmp_path)
        assert restored == modality
