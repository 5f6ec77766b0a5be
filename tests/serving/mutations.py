"""Payloads gone wrong, each from a name, a seed file and a generator, so that any of them can be made again."""

import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import soundfile
from PIL import Image, PngImagePlugin

from tests.bundle.media import colourful, picture, sound, talking_clip, tone, track

Random = random.Random
Mutation = Callable[[Random, bytes], bytes]
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF)


def place(random: Random, content: bytes) -> int:
    """Somewhere, and as often as not within the headers."""
    end = len(content) if random.random() < 0.5 else min(len(content), 200)
    return random.randrange(end) if end else 0


def flip_bits(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8, 64)) if content else 0):
        changed[place(random, content)] ^= 1 << random.randrange(8)
    return bytes(changed)


def replace_bytes(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 4, 32, 256)) if content else 0):
        changed[place(random, content)] = random.randrange(256)
    return bytes(changed)


def truncate(random: Random, content: bytes) -> bytes:
    return content[: place(random, content)]


def lose_the_start(random: Random, content: bytes) -> bytes:
    return content[place(random, content) :]


def lose_a_piece(random: Random, content: bytes) -> bytes:
    start = place(random, content)
    return content[:start] + content[start + random.choice((1, 2, 7, 100, 4096)) :]


def insert(random: Random, content: bytes) -> bytes:
    start = place(random, content)
    size = random.choice((1, 3, 64, 5000))
    return content[:start] + (bytes(size) if random.random() < 0.5 else random.randbytes(size)) + content[start:]


def repeat_a_piece(random: Random, content: bytes) -> bytes:
    start = place(random, content)
    piece = content[start : start + random.choice((4, 64, 1024))]
    return content[:start] + piece * random.choice((2, 3, 50)) + content[start:]


def write_an_extreme(random: Random, content: bytes) -> bytes:
    """A number of two, four or eight bytes, either way round: a length, a size or a count, if it is lucky."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 3))):
        start, size = place(random, content), random.choice((2, 4, 4, 8))
        number = random.choice(EXTREMES) & ((1 << 8 * size) - 1)
        changed[start : start + size] = number.to_bytes(size, random.choice(("little", "big")))
    return bytes(changed)


def blank_a_stretch(random: Random, content: bytes) -> bytes:
    start = place(random, content)
    size = min(len(content) - start, random.choice((4, 64, 2048)))
    return content[:start] + random.choice((b"\0", b"\xff"))[:1] * size + content[start + size :]


def swap_halves(random: Random, content: bytes) -> bytes:
    start = place(random, content)
    return content[start:] + content[:start]


def append_garbage(random: Random, content: bytes) -> bytes:
    return content + random.randbytes(random.choice((1, 100, 10_000)))


def double(random: Random, content: bytes) -> bytes:
    del random
    return content + content


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, replace_bytes, truncate, lose_the_start, lose_a_piece, insert, repeat_a_piece, write_an_extreme,
    write_an_extreme, blank_a_stretch, swap_halves, append_garbage, double,
)  # fmt: skip


def png(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG whose header says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", data or zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@cache
def zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def png_of_texts() -> bytes:
    """A small picture with compressed texts that unpack to a gigabyte."""
    notes = PngImagePlugin.PngInfo()
    for index in range(20):
        notes.add(b"zTXt", b"note%d\0\0" % index + zeros(50_000_000))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


def jpeg_of(width: int, height: int) -> bytes:
    whole = picture(colourful(), "JPEG")
    start = whole.index(b"\xff\xc0") + 5
    return whole[:start] + struct.pack(">HH", height, width) + whole[start + 4 :]


def gif_of(width: int, height: int) -> bytes:
    whole = picture(colourful(), "GIF")
    return whole[:6] + struct.pack("<HH", width, height) + whole[10:]


def bmp_of(width: int, height: int) -> bytes:
    whole = picture(colourful(), "BMP")
    return whole[:18] + struct.pack("<ii", width, height) + whole[26:]


def tiff_of(width: int, height: int, kind: str = "raw") -> bytes:
    """A TIFF whose directory says what it likes of its size; the directory of `circle` is its own next one."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8 if kind == "deflate" else 1), (262, 3, 1)]
    data = zeros(1_000_000) if kind == "deflate" else bytes(64)
    start = 8 + 2 + 12 * 9 + 4
    tags += [(273, 4, start), (277, 3, 1), (278, 4, height), (279, 4, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in sorted(tags))
    following = 8 if kind == "circle" else 0
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + data


def webp_of(size: int) -> bytes:
    whole = bytearray(picture(colourful(), "WEBP", lossless=True))
    start = whole.index(b"VP8L") + 9
    whole[start : start + 4] = ((size - 1) | (size - 1) << 14).to_bytes(4, "little")
    return bytes(whole)


def wav_of(seconds: float, rate: int = 8000, channels: int = 1, whole: bool = True) -> bytes:
    """A WAV whose header promises so much and that holds a tenth of a second; with `whole`, RIFF's size agrees."""
    data = bytes(rate // 10 * 2) if rate < 1_000_000 else bytes(1600)
    size = min(int(seconds * rate * channels * 2), 0x7FFE0000)
    head = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 0xFFFFFFFF), channels * 2 & 0xFFFF, 16)
    stated = 36 + size if whole else 36 + len(data)
    return b"RIFF" + struct.pack("<I", stated) + b"WAVEfmt \x10\0\0\0" + head + b"data" + struct.pack("<I", size) + data


@cache
def flac_of(seconds: int, rate: int, channels: int) -> bytes:
    """Silence, which packs to nearly nothing."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, channels, format="FLAC", subtype="PCM_16") as file:
        for _ in range(seconds):
            file.write(np.zeros((rate, channels), np.int16))
    return buffer.getvalue()


@cache
def silent_track() -> bytes:
    return track(np.zeros((4_790_000, 1), np.float32), 8_000, "matroska", "flac")


def flac_that_promises_hours() -> bytes:
    whole = sound(tone(500, 8000, 0.2), 8000, "FLAC")
    return whole[:21] + bytes([whole[21] | 0x0F]) + b"\xff\xff\xff\xff" + whole[26:]


@cache
def clip_of(kind: str) -> bytes:
    frames = [colourful(64, 64, seed) for seed in range(6)]
    sounds, pictures = {"webm": ("libopus", "libvpx"), "avi": ("mp2", "mpeg4")}.get(kind, ("aac", "libx264"))
    return talking_clip(frames, tone(500, 48_000, 0.6, 2), 48_000, kind, sounds, pictures)


def mp4_box(kind: bytes, offset: int, number: int, size: int = 4) -> bytes:
    """A clip of which one number in one box is another."""
    whole = clip_of("mp4")
    start = whole.index(kind) + 4 + offset
    return whole[:start] + number.to_bytes(size, "big") + whole[start + size :]


def boxes_in_boxes() -> bytes:
    content = b""
    for _ in range(20_000):
        content = struct.pack(">I", min(len(content) + 8, 0xFFFFFFFF)) + b"moov" + content[:100_000]
    return clip_of("mp4")[:32] + content


ABSURD: dict[str, dict[str, Callable[[], bytes]]] = {
    "picture": {
        "png of 65535 squared": lambda: png(65_535, 65_535),
        "png of 2^31 squared": lambda: png(0x7FFFFFFF, 0x7FFFFFFF),
        "png of no size": lambda: png(0, 0),
        "png of one long row": lambda: png(2_000_000_000, 1),
        "deflate bomb at the limit of pixels": lambda: png(7_000, 7_000, 8, 0, zeros(49_007_000)),
        "deflate bomb in one bit": lambda: png(50_000, 900, 1, 0, zeros(6_000_000)),
        "deflate bomb behind a small picture": lambda: png(8, 8, 8, 0, zeros(200_000_000)),
        "deflate bomb over the limit of pixels": lambda: png(20_000, 20_000, 8, 0, zeros(100_000_000)),
        "png of 16 bits at the limit": lambda: png(5_000, 5_000, 16, 0, zeros(50_010_000)),
        "texts that unpack to a gigabyte": cache(png_of_texts),
        "colour profile that unpacks to much": lambda: png(8, 8, more=_profile()),
        "jpeg of 65535 squared": lambda: jpeg_of(65_535, 65_535),
        "jpeg of 7000 squared": lambda: jpeg_of(7_000, 7_000),
        "gif of 65535 squared": lambda: gif_of(65_535, 65_535),
        "gif of 7000 squared": lambda: gif_of(7_000, 7_000),
        "bmp of 2^31": lambda: bmp_of(0x7FFFFFFF, 1),
        "bmp upside down": lambda: bmp_of(60, -0x7FFFFFFF),
        "tiff of 2^31": lambda: tiff_of(0x7FFFFFFF, 0x7FFFFFFF),
        "tiff of 7000 squared": lambda: tiff_of(7_000, 7_000),
        "tiff that unpacks": lambda: tiff_of(1_000, 1_000, "deflate"),
        "tiff in a circle": lambda: tiff_of(8, 8, "circle"),
        "webp of 16383 squared": lambda: webp_of(16_383),
        "pixels without end": lambda: picture(Image.new("RGB", (1, 60_000))),
    },
    "sound": {
        "wav of hours": lambda: wav_of(20_000),
        "wav of hours, its size a lie": lambda: wav_of(20_000, whole=False),
        "wav of 65535 channels": lambda: wav_of(0.1, channels=65_535),
        "wav of no channel": lambda: wav_of(0.1, channels=0),
        "wav of rate 0": lambda: wav_of(1, rate=0),
        "wav of rate 2^32": lambda: wav_of(1, rate=0xFFFFFFFF),
        "wav of one hour, really": lambda: sound(np.zeros((3_600_000, 1)), 1_000, subtype="PCM_U8"),
        "flac of hours": flac_that_promises_hours,
        "flac of silence, an hour": lambda: flac_of(3_600, 4_000, 1),
        "flac of silence, wide and fast": lambda: flac_of(8, 600_000, 8),
        "track of silence, ten minutes": silent_track,
        "mp3 of hours": lambda: _mp3(),
    },
    "clip": {
        "mp4 of 65535 squared": lambda: mp4_box(b"avc1", 24, 0xFFFFFFFF),
        "mp4 of many samples": lambda: mp4_box(b"stsz", 8, 0x7FFFFFFF),
        "mp4 of many chunks": lambda: mp4_box(b"stco", 4, 0xFFFFFFF0),
        "mp4 of many times": lambda: mp4_box(b"stts", 8, 0xFFFFFFFF),
        "mp4 of slow time": lambda: mp4_box(b"mdhd", 12, 1),
        "mp4 of fast time": lambda: mp4_box(b"mdhd", 12, 0xFFFFFFFF),
        "mp4 of boxes in boxes": cache(boxes_in_boxes),
        "webm of absurd sizes": lambda: clip_of("webm").replace(b"\xb0\x81\x40", b"\xb0\x81\xff"),
        "avi of many streams": lambda: clip_of("avi").replace(b"avih", b"avih\xff\xff\xff\xff"),
        "annex b of nothing": lambda: b"\0\0\0\1\x67" * 50_000,
    },
    "text": {
        "a hundred thousand characters": lambda: b"red " * 25_000,
        "one word of a hundred thousand": lambda: b"r" * 100_000,
        "a million characters": lambda: b"red " * 250_000,
        "marks upon marks": lambda: ("e" + "\u0301" * 50_000).encode(),
        "no word": lambda: "\u200b\u2028 ".encode(),
        "half a surrogate": lambda: "\ud800".encode("utf-8", "surrogatepass"),
        "NUL": lambda: b"red\0house",
        "UTF-16": lambda: "red house".encode("utf-16"),
    },
    "genes": {
        "deep lists": lambda: b"[" * 100_000,
        "deep objects": lambda: b'{"gene_A":' * 50_000 + b"1" + b"}" * 50_000,
        "a number of a hundred thousand digits": lambda: b'{"gene_A": ' + b"9" * 100_000 + b"}",
        "1e999": lambda: b'{"gene_A": 1e999}',
        "1e-999": lambda: b'{"gene_A": 1e-999}',
        "NaN": lambda: b'{"gene_A": NaN}',
        "a key of a megabyte": lambda: b'{"' + b"g" * 1_000_000 + b'": 1}',
        "many keys": lambda: json.dumps({f"gene_{index}": index for index in range(50_000)}).encode(),
        "a key twice": lambda: b'{"gene_A": 1, "gene_A": 2}',
        "a list too long": lambda: json.dumps([1.0] * 100_000).encode(),
        "an object for a number": lambda: b'{"gene_A": {"gene_A": 1}}',
        "csv of one long field": lambda: b"gene_A\n" + b"1" * 200_000,
        "csv of quotes": lambda: b'"gene_A\n"1',
        "csv of many lines": lambda: b"gene_A\n" * 100_000,
    },
}  # fmt: skip
"""Crafted to be as bad as can be, by what they pretend to be."""
KINDS = {
    "audio": ("sound", "clip"), "video": ("clip", "sound"), "image": ("picture",), "pathology": ("picture",),
    "text": ("text",), "genomics": ("genes", "text"),
}  # fmt: skip
"""What is crafted for each modality, most fitting first."""


def _profile() -> bytes:
    content = b"profile\0\0" + zeros(100_000_000)
    return struct.pack(">I", len(content)) + b"iCCP" + content + struct.pack(">I", zlib.crc32(b"iCCP" + content))


def _mp3() -> bytes:
    whole = bytearray(sound(tone(500, 44_100, 0.5), 44_100, "MP3"))
    for magic in (b"Xing", b"Info"):
        start = whole.find(magic)
        if start >= 0:
            whole[start + 4 : start + 16] = b"\0\0\0\x03" + b"\x7f\xff\xff\xff" + b"\0\0\0\x10"
    return bytes(whole)


def spoil(random: Random, modality: str, seeds: Mapping[str, Sequence[bytes]]) -> tuple[str, bytes]:
    """A payload for `modality` that is probably wrong, and the name of what was done to it."""
    way = random.random()
    if way < 0.12:
        kind = KINDS[modality][0] if random.random() < 0.8 else random.choice(sorted(ABSURD))
        name = random.choice(sorted(ABSURD[kind]))
        content = ABSURD[kind][name]()
        if random.random() < 0.3:
            return f"{name}, bits flipped", flip_bits(random, content)
        return name, content
    if way < 0.18:
        other = random.choice([name for name in sorted(seeds) if name != modality])
        return f"{other} for {modality}", random.choice(seeds[other])
    if way < 0.22:
        other = random.choice(sorted(seeds))
        content, head = random.choice(seeds[modality]), random.choice(seeds[other])
        size = random.choice((4, 12, 64))
        return f"head of {other}", head[:size] + content[size:]
    content = random.choice(seeds[modality])
    names = []
    for mutation in random.choices(MUTATIONS, k=random.choice((1, 1, 1, 2, 3))):
        content = mutation(random, content)
        names.append(mutation.__name__)
    return " then ".join(names), content[:4_000_000]
