"""How long a media file must be by its own structure, so that one cut short is known without decoding it."""

from collections.abc import Callable
from typing import Literal

from bundle.errors import InvalidInput

STREAMED = 0x7FFF0000
"""A size in RIFF from here on is what programs write that cannot seek back: it says nothing."""
END_OF_STREAM = 4
"""Flag of the last Ogg page of a stream."""
FLV_TAGS = (8, 9, 18)


def refuse_cut(payload: bytes, expected: str) -> None:
    """Refuse a file that ends before its own structure does.

    Raises:
        InvalidInput: with the length found and the length promised.
    """
    for magic, offset, promised in STRUCTURES:
        if payload.startswith(magic, offset):
            size = promised(payload)
            if size > len(payload):
                raise InvalidInput(expected, f"a file cut short: {len(payload):,} of at least {size:,} bytes")
            return


def _riff(payload: bytes) -> int:
    """WAV and AVI: the size is in the header; the last padding byte may be missing. A WAV's samples state theirs."""
    stated = int.from_bytes(payload[4:8], "little")
    if stated >= STREAMED:
        return 8
    samples = _chunks(payload, b"data", "little") if payload[8:12] == b"WAVE" else 0
    return max(8 + stated - 1, samples)


def _aiff(payload: bytes) -> int:
    """AIFF: as RIFF, with the bytes of numbers the other way round."""
    return max(8 + int.from_bytes(payload[4:8], "big") - 1, _chunks(payload, b"SSND", "big"))


def _rf64(payload: bytes) -> int:
    """RF64, WAV with sizes of 64 bits, which stand in its first chunk."""
    if payload[12:16] != b"ds64":
        return 12
    return 8 + int.from_bytes(payload[20:28], "little") - 1


def _chunks(payload: bytes, samples: bytes, order: Literal["little", "big"]) -> int:
    """Up to where the chunk of samples goes by its own size, or the last one before it begins."""
    position = 12
    while position + 8 <= len(payload):
        size = int.from_bytes(payload[position + 4 : position + 8], order)
        if payload[position : position + 4] == samples:
            return position + 8 if size >= STREAMED else position + 8 + size - 1
        position += 8 + size + size % 2
    return 12


def _boxes(payload: bytes) -> int:
    """MP4 and MOV: boxes, each of which begins with its size."""
    position = 0
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 4], "big")
        header = 16 if size == 1 else 8
        if position + header > len(payload):
            return position + header
        if size == 1:
            size = int.from_bytes(payload[position + 8 : position + 16], "big")
        if size < header or not payload[position + 4 : position + 8].isascii():
            return position  # 0 means up to the end; anything else is no box, so nothing is promised
        position += size
    return position


def _flv(payload: bytes) -> int:
    """FLV: tags with their size; after each, four bytes that may be missing at the end."""
    position = int.from_bytes(payload[5:9], "big") + 4
    while position < len(payload):
        if position + 11 > len(payload):
            return position + 11
        if payload[position] & 0x1F not in FLV_TAGS:
            return position
        position += 11 + int.from_bytes(payload[position + 1 : position + 4], "big") + 4
    return position - 4


def _matroska(payload: bytes) -> int:
    """Matroska and WebM: an EBML header, then one segment of stated or unknown size."""
    size, position = _variable(payload, 4)
    if size is None or payload[position + size : position + size + 4] != b"\x18\x53\x80\x67":
        return position
    size, position = _variable(payload, position + size + 4)
    return position if size is None else position + size


def _variable(payload: bytes, position: int) -> tuple[int | None, int]:
    """An EBML size (None for unknown) and the position after it."""
    first = int.from_bytes(payload[position : position + 1], "big")
    width = 9 - first.bit_length()
    value = int.from_bytes(payload[position : position + width], "big") & ((1 << 7 * width) - 1)
    unknown = width > 8 or value == (1 << 7 * width) - 1
    return (None if unknown else value), position + width


def _ogg(payload: bytes) -> int:
    """Ogg: pages, the last of which says that it is the last."""
    position, flags = 0, 0
    while payload.startswith(b"OggS", position):
        if position + 27 > len(payload):
            return position + 27
        flags = payload[position + 5]
        table = position + 27 + payload[position + 26]
        position = table + sum(payload[position + 27 : table])
    ended = flags & END_OF_STREAM or position < len(payload)
    return position if ended else max(position, len(payload)) + 1


def _program_stream(payload: bytes) -> int:
    """MPEG-1 and MPEG-2 program streams: packs and packets with their sizes."""
    position = 0
    while payload.startswith(b"\0\0\1", position) and position + 14 <= len(payload):
        code = payload[position + 3]
        if code == 0xBA:
            second = payload[position + 4] >> 4 != 2  # MPEG-2, whose pack header may be stuffed
            position += 14 + (payload[position + 13] & 7) if second else 12
        elif code >= 0xBB:
            position += 6 + int.from_bytes(payload[position + 4 : position + 6], "big")
        else:
            return position
    return position


def _transport_stream(payload: bytes) -> int:
    """MPEG transport stream: packets of 188 bytes, each beginning with G."""
    return -(-len(payload) // 188) * 188 if payload[188:189] == payload[376:377] == b"G" else 0


def _mp3(payload: bytes) -> int:
    """MP3: the first frame may carry a Xing or Info header with the number of bytes; some are 1 % off."""
    start = 0
    if payload.startswith(b"ID3"):
        size = [byte & 0x7F for byte in payload[6:10].ljust(4, b"\0")]
        start = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    head = payload[start : start + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return start
    mono, first = head[3] >> 6 == 3, (head[1] >> 3) & 3 == 3
    tag = start + 4 + ((17 if mono else 32) if first else (9 if mono else 17))
    flags = int.from_bytes(payload[tag + 4 : tag + 8], "big")
    if payload[tag : tag + 4] not in (b"Xing", b"Info") or not flags & 2:
        return start
    place = tag + 8 + (4 if flags & 1 else 0)
    return start + int(0.99 * int.from_bytes(payload[place : place + 4], "big"))


STRUCTURES: tuple[tuple[bytes, int, Callable[[bytes], int]], ...] = (
    (b"RIFF", 0, _riff),
    (b"RF64", 0, _rf64),
    (b"FORM", 0, _aiff),
    (b"ftyp", 4, _boxes),
    (b"FLV", 0, _flv),
    (b"\x1a\x45\xdf\xa3", 0, _matroska),
    (b"OggS", 0, _ogg),
    (b"\0\0\1\xba", 0, _program_stream),
    (b"G", 0, _transport_stream),
    (b"ID3", 0, _mp3),
    (b"\xff\xfb", 0, _mp3),
    (b"\xff\xf3", 0, _mp3),
)
"""First bytes, their offset, and what reads the promised size: at most the length of a file that is complete."""
