"""The length a media file promises: exact for whole files, silent where the structure says nothing."""

import numpy as np
import pytest

from bundle.errors import InvalidInput
from bundle.modalities.completeness import STRUCTURES, refuse_cut
from tests.bundle.media import brightening, clip, sound, talking_clip, tone

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 2))


def whole(kind: str) -> bytes:
    if kind in ("WAV", "AIFF", "OGG", "MP3"):
        return sound(NOISE, 16_000, kind)
    codecs = {"webm": ("libopus", "libvpx"), "avi": ("mp2", "mpeg4")}.get(kind, ("aac", "libx264"))
    return talking_clip(brightening(4), tone(500, 48_000, 0.4, 2), 48_000, kind, *codecs)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "OGG", "MP3", "mp4", "flv", "webm", "avi", "mpegts"])
def test_a_whole_file_passes_and_one_cut_by_a_twentieth_does_not(kind: str) -> None:
    payload = whole(kind)
    refuse_cut(payload, "a file")
    with pytest.raises(InvalidInput, match=r"expected a file, received a file cut short: .* of at least .* bytes"):
        refuse_cut(payload[: int(0.95 * len(payload)) - 1], "a file")


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "mp4", "flv", "webm", "OGG"])
def test_what_follows_the_end_of_a_file_does_not_matter(kind: str) -> None:
    refuse_cut(whole(kind) + bytes(64), "a file")


def box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    return (8 + len(content) if size is None else size).to_bytes(4, "big") + kind + content


def test_boxes_of_every_size_notation_are_followed() -> None:
    start = box(b"ftyp", b"isom\0\0\0\0")
    long = box(b"mdat", (16 + 40).to_bytes(8, "big") + bytes(40), size=1)
    refuse_cut(start + long + box(b"free", b""), "a file")
    refuse_cut(start + box(b"mdat", bytes(40), size=0), "a file")
    for cut in (start + long[:-1], start + long[:12], start + b"\0\0"):
        with pytest.raises(InvalidInput):
            refuse_cut(cut, "a file")


def test_lengths_that_were_never_written_promise_nothing() -> None:
    wav = whole("WAV")
    for size in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x80"):
        refuse_cut(wav[:4] + size + wav[8:100], "a file")
    ebml = b"\x1a\x45\xdf\xa3\x81\0"
    refuse_cut(ebml + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff", "a file")
    refuse_cut(ebml + b"\x18\x53\x80\x67\xff", "a file")
    with pytest.raises(InvalidInput):
        refuse_cut(ebml + b"\x18\x53\x80\x67\x84abc", "a file")


def test_a_tag_before_an_mp3_does_not_count() -> None:
    song = whole("MP3")
    tagged = b"ID3\3\0\0\0\0\2\0" + bytes(256) + song
    refuse_cut(tagged, "a file")
    with pytest.raises(InvalidInput):
        refuse_cut(tagged[: 266 + len(song) // 2], "a file")


def test_a_program_stream_is_followed_packet_by_packet() -> None:
    first = b"\0\0\1\xba" + b"\x21" + bytes(7)
    second = b"\0\0\1\xba" + b"\x44" + bytes(8) + b"\xf8"
    packet = b"\0\0\1\xe0" + (30).to_bytes(2, "big") + bytes(30)
    for pack in (first, second):
        refuse_cut(pack + packet + packet + b"\0\0\1\xb9", "a file")
        with pytest.raises(InvalidInput):
            refuse_cut(pack + packet + packet[:-5], "a file")


@pytest.mark.parametrize("magic", [(magic, offset) for magic, offset, _ in STRUCTURES])
def test_headers_followed_by_anything_never_fail_otherwise(magic: tuple[bytes, int]) -> None:
    generator = np.random.default_rng(1)
    for length in range(64):
        rest = generator.integers(0, 256, length, dtype=np.uint8).tobytes()
        for payload in (bytes(magic[1]) + magic[0] + rest, bytes(magic[1]) + magic[0] + bytes(length)):
            try:
                refuse_cut(payload, "a file")
            except InvalidInput as error:
                assert "cut short" in str(error)


def test_other_bytes_are_left_to_others() -> None:
    for payload in (b"", b"a text", b"\x89PNG", clip(brightening(1))[8:]):
        refuse_cut(payload, "a file")
