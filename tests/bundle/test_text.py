"""Text: a string to token ids."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from bundle.errors import InvalidInput, ManifestError, TooLarge
from bundle.limits import Limits
from bundle.modalities import Text
from bundle.work import Work
from tests.bundle.media import colourful, picture
from tests.bundles import tiny_tokenizer


def sentence_tokenizer() -> str:
    """Words between [CLS] and [SEP]; unknown words vanish unless they are in the vocabulary."""
    words = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "house"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str()


TEXT = Text(tokenizer=sentence_tokenizer(), max_length=6)


@pytest.mark.parametrize("text", ["red house", "Red, green; unheard!", "  red \n\t green ", "日本 naïve 🙂"])
def test_ids_are_those_of_the_tokenizers_library(text: str) -> None:
    library = Tokenizer.from_str(sentence_tokenizer())
    library.enable_truncation(6)
    ids = TEXT.decode(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == library.encode(text).ids


def test_bytes_are_read_as_utf_8_with_or_without_a_mark() -> None:
    expected = TEXT.decode("red 日本").tolist()
    assert TEXT.decode("red 日本".encode()).tolist() == expected
    assert TEXT.decode("red 日本".encode("utf-8-sig")).tolist() == expected


def test_long_texts_are_cut_at_the_end_and_keep_their_special_tokens() -> None:
    assert TEXT.decode("red green house red green house red").tolist() == [2, 4, 5, 6, 4, 3]


def test_padding_that_the_tokenizer_file_asks_for_is_left_to_stack() -> None:
    library = Tokenizer.from_str(sentence_tokenizer())
    library.enable_padding(length=32)
    library.enable_truncation(2)
    assert Text(tokenizer=library.to_str(), max_length=6).decode("red green").tolist() == [2, 4, 5, 3]


def test_stack_pads_to_the_longest_with_the_padding_token() -> None:
    text = Text(tokenizer=sentence_tokenizer(), max_length=6, pad_id=1)
    batch = text.stack([text.decode("red"), text.decode("red green house")])
    assert batch.dtype == np.int64
    assert batch.tolist() == [[2, 4, 3, 1, 1], [2, 4, 5, 6, 3]]


def test_the_vocabulary_has_room_for_every_id() -> None:
    library = Tokenizer.from_str(sentence_tokenizer())
    library.add_tokens(["extra"])
    assert TEXT.vocabulary == 7
    assert Text(tokenizer=library.to_str()).vocabulary == 8


@pytest.mark.parametrize("payload", ["", "   \n", b"", b"\xef\xbb\xbf"])
def test_an_empty_text_is_refused(payload: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="received an empty text"):
        TEXT.decode(payload)


def test_a_text_that_gives_no_token_is_refused() -> None:
    silent = Tokenizer(models.WordLevel({"[PAD]": 0, "red": 1}, unk_token="red"))
    silent.pre_tokenizer = pre_tokenizers.Split("x", "removed")
    with pytest.raises(InvalidInput, match="gives no token"):
        Text(tokenizer=silent.to_str()).decode("xxx")


@pytest.mark.parametrize("payload", ["naïve".encode("latin-1"), b"\xff\xfe r\0e\0d\0", b"\x80"])
def test_bytes_that_are_not_utf_8_are_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput, match="text in UTF-8"):
        TEXT.decode(payload)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_a_picture_is_no_text(kind: str) -> None:
    with pytest.raises(InvalidInput):
        TEXT.decode(picture(colourful(), kind))


@pytest.mark.parametrize("payload", ["red\0green", b"BM\x7a\0\0\0\0\0"])
def test_binary_data_are_no_text(payload: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="binary data"):
        TEXT.decode(payload)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidInput, match="half a surrogate pair"):
        TEXT.decode("red \ud800")


def test_a_text_over_the_limit_is_refused() -> None:
    with Work(Limits(characters=3)).active(), pytest.raises(TooLarge, match="at most 3 characters, received 4"):
        TEXT.decode("four")
    with pytest.raises(TooLarge, match="at most 100,000 characters, received 100,001 characters"):
        TEXT.decode("r" * 100_001)


@pytest.mark.parametrize("payload", [{"a": 1.0}, [1.0], 7])
def test_anything_but_a_text_is_refused(payload: object) -> None:
    with pytest.raises(InvalidInput, match="expected a text, received"):
        TEXT.decode(payload)  # type: ignore[arg-type]


def test_restore_reads_back_the_very_tokenizer(tmp_path: Path) -> None:
    text = Text(tokenizer=sentence_tokenizer().replace("\n", "\r\n"), max_length=9, pad_id=1)
    for name, content in text.files().items():
        (tmp_path / name).write_bytes(content)
    assert Text.restore(text.parameters(), tmp_path) == text


def test_restore_refuses_a_missing_a_broken_and_a_smuggled_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"needs tokenizer\.json"):
        Text.restore({}, tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff")
    with pytest.raises(ManifestError, match=r"needs tokenizer\.json"):
        Text.restore({}, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"tokenizer\.json is not a tokenizer"):
        Text.restore({}, tmp_path)
    (tmp_path / "tokenizer.json").write_text(tiny_tokenizer())
    with pytest.raises(ManifestError, match="found among the parameters"):
        Text.restore({"tokenizer": tiny_tokenizer()}, tmp_path)


@pytest.mark.parametrize(
    ("parameter", "value"), [("max_length", 0), ("max_length", -1), ("max_length", 2), ("pad_id", -1), ("pad_id", 7)]
)
def test_parameters_without_sense_are_refused_at_construction(parameter: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}: expected .* found "):
        Text(tokenizer=sentence_tokenizer(), **{parameter: value})
    with pytest.raises(ManifestError, match=f"parameters of text: {parameter}"):
        Text.checked({"tokenizer": sentence_tokenizer(), parameter: value})


def test_what_is_not_a_tokenizer_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="is not a tokenizer"):
        Text(tokenizer="{}")
