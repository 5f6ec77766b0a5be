"""The bounds of a connection, on uvicorn in this process, with the waits cut short."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from serving import wire
from tests.serving.process import ROOT

SHORT = 0.3
PATIENCE = 30.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open = Callable[[], Awaitable[Streams]]
Body = Callable[[Open], Awaitable[None]]


class Application:
    """Answers with as many bytes as asked for, after the body or, at `/early`, before it."""

    def __init__(self, size: int = 2) -> None:
        self.size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        message: Message = {"more_body": scope["path"] != "/early"}
        while message.get("more_body"):
            message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % self.size)]})
        await send({"type": "http.response.body", "body": bytes(self.size)})


@asynccontextmanager
async def uvicorn_here(application: Application) -> AsyncIterator[Open]:
    config = uvicorn.Config(application, http=wire.BoundedProtocol, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        opened: list[asyncio.StreamWriter] = []

        async def open_one() -> Streams:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.append(writer)
            return reader, writer

        try:
            yield open_one
        finally:
            for writer in opened:
                writer.close()
            server.should_exit = True
            await serving


def run(body: Body, size: int = 2) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE), uvicorn_here(Application(size)) as open_one:
            await body(open_one)

    asyncio.run(main())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", SHORT)
    monkeypatch.setattr(wire, "REST_SECONDS", SHORT)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes, whether it closes in peace or not."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            found += chunk
    return found


def refusal(answer: bytes, status: int, kind: str) -> None:
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"\r\nconnection: close" in head
    assert json.loads(content)["type"] == f"urn:infobridge:problem:{kind}"
    assert json.loads(content)["status"] == status


def test_uvicorn_chooses_its_connection_by_the_name_that_is_replaced() -> None:
    """If this fails, `serving.hosting` must find another way to bring `serving.wire` to uvicorn."""
    wire.install()
    config = uvicorn.Config(Application())
    config.load()
    assert config.http_protocol_class is wire.BoundedProtocol


def test_the_bounds_are_still_missing_in_uvicorn() -> None:
    """If this fails, uvicorn has learnt to bound a head: perhaps `serving.wire` is no longer needed."""
    options = {name.lower() for name in vars(uvicorn.Config(Application()))}
    assert not {name for name in options if "header" in name and ("limit" in name or "max" in name)}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("first", [b"", GET])
def test_a_head_that_dribbles_in_is_ended(first: bytes) -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        if first:
            writer.write(first)
            await reader.readuntil(b"\r\n\r\n\0\0")

        async def dribble() -> None:
            with contextlib.suppress(ConnectionError):
                for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 1000:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        refusal(await rest_of(reader), 408, "head-too-slow")
        dribbling.cancel()

    run(body)


@pytest.mark.usefixtures("hasty")
def test_a_connection_that_says_nothing_is_closed() -> None:
    async def body(open_one: Open) -> None:
        reader, _ = await open_one()
        assert await rest_of(reader) == b""

    run(body)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\n", *[b"X-%d: y\r\n" % index for index in range(5000)]],
        [b"GET / HTTP/1.1\r\nX: ", *[b"y" * 8192] * 80],
        [b"GET / HTTP/1.1\r\n", *[b"y" * 8192] * 80],
        [b"GET /", *[b"y" * 8192] * 80],
        [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X-%d: y\r\n" % i for i in range(5000)]],
        [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", *[b"y" * 8192] * 80],
        [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", *[b"y" * 8192] * 80],
    ],
    ids=["many headers", "long value", "long name", "long address", "many trailers", "long trailer", "long extension"],
)
@pytest.mark.parametrize("split", [True, False], ids=["in pieces", "at once"])
def test_an_endless_head_is_refused(pieces: list[bytes], split: bool) -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        with contextlib.suppress(ConnectionError):
            for piece in pieces if split else [b"".join(pieces)]:
                writer.write(piece)
                await writer.drain()
        refusal(await rest_of(reader), 431, "head-too-large")

    run(body)


def test_a_large_head_within_the_bound_is_read() -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        for _ in range(3):
            writer.write(b"GET /?" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n\0\0")).startswith(b"HTTP/1.1 200")

    run(body)


@pytest.mark.usefixtures("hasty")
def test_a_long_body_in_small_chunks_takes_its_time() -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            writer.write(b"1\r\nx\r\n" * 1000)
            await asyncio.sleep(SHORT / 10)
        writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n\0\0")).startswith(b"HTTP/1.1 200")

    run(body)


@pytest.mark.usefixtures("hasty")
def test_a_body_that_was_answered_already_does_not_dribble_on() -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")

        async def dribble() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x")
                    await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 200")
        dribbling.cancel()

    run(body)


def test_a_body_that_comes_after_its_answer_leaves_the_connection_usable() -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
        await reader.readuntil(b"\r\n\r\n\0\0")
        writer.write(b"345" + GET)
        assert (await reader.readuntil(b"\r\n\r\n\0\0")).startswith(b"HTTP/1.1 200")

    run(body)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("size", [60_000, 50_000_000])
def test_an_answer_that_nobody_takes_is_given_up(size: int) -> None:
    async def body(open_one: Open) -> None:
        _, writer = await open_one()
        connection = writer.get_extra_info("socket")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            while True:  # until the server is gone, or takes no more
                writer.write(GET * 10)
                await asyncio.sleep(SHORT / 10)
                if connection.fileno() < 0 or writer.is_closing():
                    return
        writer.transport.abort()

    run(body, size)


def test_pipelined_requests_are_answered_in_order_even_if_the_next_head_is_unfinished() -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        writer.write(GET * 50 + GET[:10])
        for _ in range(50):
            assert (await reader.readuntil(b"\r\n\r\n\0\0")).startswith(b"HTTP/1.1 200")
        writer.write(GET[10:])
        assert (await reader.readuntil(b"\r\n\r\n\0\0")).startswith(b"HTTP/1.1 200")

    run(body)


def test_a_connection_may_not_pipeline_without_end() -> None:
    async def body(open_one: Open) -> None:
        reader, writer = await open_one()
        writer.write(GET * 10 * wire.PIPELINED)
        answer = await rest_of(reader)
        assert answer.count(b"HTTP/1.1 200") <= wire.PIPELINED + 1 and b"HTTP/1.1 4" not in answer

    run(body)


def test_only_one_place_reaches_into_uvicorn() -> None:
    sources = sorted(path.name for path in Path(ROOT, "serving").glob("*.py") if "uvicorn." in path.read_text("utf-8"))
    assert sources == ["logs.py", "wire.py"]
