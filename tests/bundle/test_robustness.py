"""Whatever the bytes, decoding gives an array of the promised kind or refuses them as invalid input."""

import json
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.errors import InvalidInput
from bundle.modalities import MODALITIES, Modality
from tests.bundle.media import brightening, colourful, picture, sound, talking_clip, tone
from tests.bundles import tiny_modality

LEAN = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = sorted(MODALITIES)
MAGIC = [
    b"",
    b"RIFF",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"\0\0\0\x20ftypisom",
    b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
    b"OggS",
]
MAGIC += [
    b"fLaC",
    b"ID3\3\0\0\0\0\0\0",
    b"\xff\xfb\x90\0",
    b"\x1aE\xdf\xa3",
    b"\0\0\1\xba",
    b"GIF89a",
    b"{",
    b"[",
    b"FORM",
]


@cache
def modality(kind: str) -> Modality:
    return tiny_modality(kind)


@cache
def valid_files(kind: str) -> list[bytes]:
    """Small valid payloads of several formats."""
    generator = np.random.default_rng(0)
    noise = 0.3 * generator.standard_normal((3000, 2))
    talking = [
        talking_clip(brightening(4), tone(500, 48_000, 0.4, 2), 48_000, container, codec, pictures)
        for container, codec, pictures in (
            ("mp4", "aac", "libx264"),
            ("flv", "aac", "libx264"),
            ("webm", "libopus", "libvpx"),
            ("avi", "mp2", "mpeg4"),
            ("mpegts", "aac", "libx264"),
        )
    ]
    pictures = [picture(colourful(), form) for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")]
    return {
        "audio": [sound(noise, 11_025, form) for form in ("WAV", "FLAC", "OGG", "MP3", "AIFF")] + talking,
        "video": talking,
        "image": [*pictures, picture(colourful(), "GIF")],
        "pathology": [*pictures, picture(colourful(), "JPEG2000")],
        "text": ["red house 日本".encode(), modality("text").example(generator)],
        "genomics": [json.dumps({"gene_A": 1.5, "gene_B": None}).encode(), b"gene_A,gene_D\n1,2\n", b"[1, 2, 3, 4]"],
    }[kind]


def decodes_or_refuses(kind: str, payload: bytes | str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow reports broken metadata of a readable picture
            array = modality(kind).decode(payload)
    except InvalidInput as error:
        assert error.expected and error.received and "\n" not in str(error)
        assert len(str(error)) < 500
        return
    normalised = modality(kind).normalise(array)
    assert normalised.dtype == modality(kind).dtype
    shape = modality(kind).shape
    assert len(normalised.shape) == len(shape)
    assert all(size in (None, found) for found, size in zip(normalised.shape, shape, strict=True))
    assert np.isfinite(normalised).all()


@pytest.mark.parametrize("kind", KINDS)
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=400))
@LEAN
def test_arbitrary_bytes_are_decoded_or_refused(kind: str, magic: bytes, rest: bytes) -> None:
    decodes_or_refuses(kind, magic + rest)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@LEAN
def test_cut_files_are_decoded_or_refused(kind: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(valid_files(kind)))
    decodes_or_refuses(kind, whole[: data.draw(st.integers(0, len(whole)))])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@LEAN
def test_altered_files_are_decoded_or_refused(kind: str, data: st.DataObject) -> None:
    altered = bytearray(data.draw(st.sampled_from(valid_files(kind))))
    places = st.one_of(st.integers(0, len(altered) - 1), st.integers(0, min(len(altered), 64) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        altered[place] = data.draw(st.integers(0, 255))
    decodes_or_refuses(kind, bytes(altered))


@pytest.mark.parametrize("kind", ["text", "genomics"])
@given(payload=st.text(st.characters(), max_size=60))
@LEAN
def test_arbitrary_texts_are_decoded_or_refused(kind: str, payload: str) -> None:
    decodes_or_refuses(kind, payload)


@given(
    payload=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["gene_A", "gene_B", "x"]), inner),
    )
)
@LEAN
def test_arbitrary_json_values_are_decoded_or_refused(payload: object) -> None:
    decodes_or_refuses("genomics", json.dumps(payload))
    decodes_or_refuses("genomics", payload)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_generated_examples_and_valid_files_are_decoded(kind: str) -> None:
    generator = np.random.default_rng(3)
    for payload in [*valid_files(kind), *(modality(kind).example(generator) for _ in range(8))]:
        found = modality(kind).normalise(modality(kind).decode(payload))
        assert found.dtype == modality(kind).dtype


@pytest.mark.parametrize("kind", ["audio", "video", "image", "pathology"])
@pytest.mark.parametrize("payload", [b"", b"only a text", b"{}", b"<html></html>", b"%PDF-1.7\n"])
def test_a_text_is_no_media(kind: str, payload: bytes) -> None:
    with pytest.raises(InvalidInput):
        modality(kind).decode(payload)


@pytest.mark.parametrize("kind", KINDS)
def test_a_modality_survives_its_own_json(kind: str) -> None:
    parameters = json.loads(json.dumps(modality(kind).parameters()))
    extra = {"tokenizer": modality("text").files()["tokenizer.json"].decode()} if kind == "text" else {}
    assert MODALITIES[kind].checked({**parameters, **extra}) == modality(kind)
