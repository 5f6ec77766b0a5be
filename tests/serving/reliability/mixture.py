"""What a service gets in a long life: samples of every pairing, small, large and bad, and clients that leave."""

import asyncio
import contextlib
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import soundfile
from PIL import Image

from tests.bundles import PAIRINGS
from tests.serving.reliability.load import Connections, Reply, ended, post
from tests.serving.samples import POISON, payloads

BOUNDARY = "edge"
LEFT = -1
"""The status of a request whose client did not wait for its answer."""
Ask = Callable[[Connections], Awaitable[Reply]]


@dataclass(frozen=True)
class Question:
    """One kind of request."""

    name: str
    request: bytes
    status: int
    """What it must be answered, unless the service is busy."""


def form(parts: dict[str, bytes], path: str = "/v1/predict", headers: str = "") -> bytes:
    """A multipart request; every part is a file."""
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in parts.items()
    )
    return post(path, body + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}", headers)


def large_picture(generator: np.random.Generator, side: int = 1200) -> bytes:
    """Noise, which does not compress: about four megabytes."""
    written = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(written, "PNG", compress_level=1)
    return written.getvalue()


def large_sound(generator: np.random.Generator, seconds: float = 20.0, rate: int = 48_000) -> bytes:
    """Stereo noise as WAV: about four megabytes."""
    written = io.BytesIO()
    noise = generator.normal(0, 0.1, (int(seconds * rate), 2))
    soundfile.write(written, noise, rate, format="WAV", subtype="PCM_16")
    return written.getvalue()


def large_clip(generator: np.random.Generator, frames: int = 30, side: int = 320) -> bytes:
    """Noise as H.264: some megabytes."""
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(15), options={"preset": "ultrafast", "crf": "18"})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            picture = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return written.getvalue()


def questions(headers: str, seed: int = 0) -> list[Question]:
    """Every kind of request, with these further header lines."""
    generator = np.random.default_rng(seed)
    found: list[Question] = []
    for number in range(3):
        for pairing in PAIRINGS:
            chosen = {"model": b"-".join(name.encode() for name in pairing)}
            small = payloads(pairing, seed + number)
            found.append(Question("small", form(chosen | small, headers=headers), 200))
            cut = {name: content[: len(content) // 2] for name, content in small.items()}
            name = pairing[0]
            found.append(Question("cut short", form(chosen | small | {name: cut[name]}, headers=headers), 422))
        items = {f"{index}.{name}": value for index in range(6) for name, value in payloads(PAIRINGS[1], index).items()}
        model = {"model": b"image-text"}
        found.append(Question("batch", form(model | items, "/v1/predict/batch", headers), 200))
    sound_and_clip = {"model": b"audio-video", "audio": large_sound(generator), "video": large_clip(generator)}
    picture = large_picture(generator)
    genes = {"genomics": b'{"gene_A": 1.5}'}
    large = [
        sound_and_clip,
        {"model": b"image-text", "image": picture, "text": b"red house " * 500},
        {"model": b"pathology-genomics", "pathology": picture, **genes},
    ]
    found += [Question("large", form(parts, headers=headers), 200) for parts in large]
    found += [
        Question("cut short and large", form({**large[1], "image": picture[:-100_000]}, headers=headers), 422),
        Question("poison", form({"model": b"fragile", "text": POISON.encode(), **genes}, headers=headers), 500),
        Question("unknown model", form({"model": b"nobody", **genes}, headers=headers), 404),
        Question("unknown path", post("/v1/nothing", b"{}", headers=headers), 404),
        Question("no key", post("/v1/predict", b"{}"), 401),
        Question("not JSON", post("/v1/predict", b"[" * 50_000, headers=headers), 400),
        Question("too large", post("/v1/predict", b"x" * 5_000_000, headers=headers), 413),
        Question("another type", post("/v1/predict", b"x" * 1000, "text/plain", headers), 415),
        Question("broken form", form(large[1], headers=headers).replace(b"--edge--", b"--other-"), 400),
        Question("an address", post("/v1/predict", json.dumps({"image": "http://x/"}).encode(), headers=headers), 422),
    ]
    return found


async def leave(address: tuple[str, int], request: bytes, part: float) -> Reply:
    """Send a part of a request, or all of it, and go away."""
    _, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(OSError):
        writer.write(request[: int(part * len(request))])
        await writer.drain()
        await asyncio.sleep(0.01)
    await ended(writer)
    return Reply(LEFT, 0.0)


class Mixture:
    """Asks one of the questions after the other, and checks the answers; some of the clients leave.

    Args:
        address: of the server.
        headers: lines for every request.
    """

    def __init__(self, address: tuple[str, int], headers: str) -> None:
        self._address = address
        self._questions = questions(headers)
        self._connections = Connections(*address)
        self._count = 0
        self.answered = 0
        self.busy = 0
        self.wrong: list[str] = []

    async def ask(self) -> None:
        """One request."""
        self._count += 1
        question = self._questions[self._count % len(self._questions)]
        if self._count % 11 == 0:
            await leave(self._address, question.request, (self._count % 3 + 1) / 3)
            return
        reply = await self._connections.ask(question.request)
        self.answered += 1
        if reply.status == 503:
            self.busy += 1
        elif reply.status != question.status:
            self.wrong.append(f"{question.name}: {reply.status} {reply.reason} {reply.body[:200]!r}")

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()
