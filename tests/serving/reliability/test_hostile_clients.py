"""Clients that send nonsense, or too slowly, or never read: refused or closed, and nobody else notices."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.serving.process import Server
from tests.serving.reliability.conftest import TIMEOUT, Sturdy
from tests.serving.reliability.load import Connections, keep_asking, post, statuses

BODY = json.dumps({"model": "fragile", "text": "red", "genomics": [1, 2, 3, 4]}).encode()
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
TOLD = 20.0
"""Seconds in which a client must have been told, or the connection closed."""


def exchange(server: Server, sent: bytes) -> bytes:
    """Everything the server answers before it closes, or until the end of an answer that leaves the connection open."""
    found = b""
    with socket.create_connection((server.host, server.port), timeout=TOLD) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
            while chunk := connection.recv(65536):
                found += chunk
                head, _, content = found.partition(b"\r\n\r\n")
                length = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length and len(content) >= length[0] and b"connection: close" not in head.lower():
                    break
    return found


@pytest.fixture
def unharmed(server: Server) -> Iterator[Server]:
    """The server, which must answer right afterwards and have logged no error."""
    before = server.log().count('"level": "error"')
    yield server
    with server.client() as client:
        assert client.get("/readyz").status_code == 200
    assert server.log().count('"level": "error"') == before


ODD = {
    "HTTP/1.0": (b"GET /livez HTTP/1.0\r\n\r\n", 200),
    "HTTP/1.0 without a host": (b"GET /v1/models HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", 200),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), 400),
    "no HTTP at all": (b"\x00\xff" * 100 + b"\r\n\r\n", 400),
    "OPTIONS": (b"OPTIONS /v1/predict HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "OPTIONS of everything": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "TRACE": (b"TRACE /livez HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", 405),
    "CONNECT": (b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 400),
    "a method nobody knows": (b"BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "PUT": (b"PUT /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405),
    "an address of a proxy": (b"GET http://example.org/livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "a path of 50 kB": (b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "a path of 100 kB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a zero in the path": (b"GET /v1/models/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "broken percent encodings": (b"GET /v1/%zz%%%4 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "half a surrogate": (b"GET /v1/models/%ED%A0%80/examples/0 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "not UTF-8": (b"GET /v1/models/%ff%fe/examples/0/text HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "bytes over 127": (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "up and away": (b"GET /page/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "up and away, encoded": (b"GET /page/%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "huge number of an example": (
        b"GET /v1/models/image-text/examples/" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        404,
    ),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456", 400),
    "length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "chunks twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400),
    "another coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "a negative length": (POST + b"Content-Length: -5\r\n\r\n", 400),
    "a length that is no number": (POST + b"Content-Length: 0x5\r\n\r\n12345", 400),
    "a huge length": (POST + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n", 413),
    "a length over any number": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "a chunk over any number": (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n", 400),
    "a negative chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    "a broken header": (GET + b"no colon\r\n\r\n", 400),
    "a space before the colon": (GET + b"X : y\r\n\r\n", 400),
    "a folded header": (GET + b"X: y\r\n z\r\n\r\n", 400),
    "a zero in a header": (GET + b"X: a\x00b\r\n\r\n", 400),
    "2000 headers": (GET + b"X: y\r\n" * 2000 + b"\r\n", 431),
    "an upgrade": (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
    "a websocket": (
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n",
        403,
    ),
    "a length with spaces": (POST + b"Content-Length:   2  \r\n\r\n{}", 422),
    "nothing expected that we know": (
        POST + b"Expect: the-spanish-inquisition\r\nContent-Length: 2\r\n\r\n{}",
        422,
    ),
}


@pytest.mark.parametrize(("sent", "status"), ODD.values(), ids=ODD)
def test_odd_requests_get_an_answer(unharmed: Server, sent: bytes, status: int) -> None:
    answer = exchange(unharmed, sent)
    print(sent[:60], answer[:100])
    assert answer.split(b" ", 2)[1:2] == [str(status).encode()], answer[:300]


def test_head_has_the_headers_of_get_and_no_content(unharmed: Server) -> None:
    answer = exchange(unharmed, b"HEAD /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and content == b""


def test_a_body_is_asked_for_only_where_it_is_wanted(unharmed: Server) -> None:
    asked = POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection((unharmed.host, unharmed.port), timeout=TOLD) as connection:
        connection.sendall(asked % len(BODY))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 ")
    with socket.create_connection((unharmed.host, unharmed.port), timeout=TOLD) as connection:
        connection.sendall(asked % 10**9)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_pipelined_requests_are_answered_in_order(sturdy: Sturdy) -> None:
    key = sturdy.key_header.encode()
    paths = [b"/livez", b"/v1/models", b"/nowhere", b"/readyz"] * 25
    sent = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + key + b"\r\n" for path in paths)
    sent += post("/v1/predict", BODY, headers=sturdy.key_header + "Connection: close\r\n")
    found = b""
    with socket.create_connection(sturdy.address, timeout=TOLD) as connection:
        connection.sendall(sent)
        while chunk := connection.recv(65536):
            found += chunk
    answered = [int(part[:3]) for part in found.split(b"HTTP/1.1 ")[1:]]
    assert answered[:100] == [200, 200, 404, 200] * 25
    assert len(answered) == 101


async def crowd(sturdy: Sturdy, sent: bytes, count: int, dribble: bytes) -> list[bytes]:
    """What each of many connections is told; all send the same, and then byte by byte, until they are closed."""

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection(*sturdy.address)
        writer.write(sent)
        found = b""

        async def drip() -> None:
            for byte in dribble:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.5)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(OSError):
            async with asyncio.timeout(2 * TOLD):
                while chunk := await reader.read(65536):
                    found += chunk
        dripping.cancel()
        writer.transport.abort()
        return found

    return await asyncio.gather(*(one() for _ in range(count)))


CROWDS = {
    "idle": (400, b"", b"", b""),
    "half a head": (300, b"POST /v1/predict HTTP/1.1\r\n", b"X-Header: " + b"y" * 200, b"HTTP/1.1 408 "),
    "half a body": (40, POST + b"Content-Length: 1000\r\n%s\r\n{", b" " * 200, b"HTTP/1.1 504 "),
}
"""How many, what they send at once and byte by byte, and what they are told. Only half a body takes one of the places
for predictions, so only as many of these come as leave some for others."""


@pytest.mark.slow
def test_hundreds_of_slow_clients_are_sent_away_while_others_are_served(sturdy: Sturdy) -> None:
    key = sturdy.key_header.encode()
    request = post("/v1/predict", BODY, headers=sturdy.key_header)
    [worker] = psutil.Process(sturdy.server.process.pid).children(recursive=True)
    files = worker.num_fds()

    async def main() -> list[list[bytes]]:
        crowds = [
            crowd(sturdy, sent.replace(b"%s", key), count, dribble) for count, sent, dribble, _ in CROWDS.values()
        ]
        slow = asyncio.gather(*crowds)
        await asyncio.sleep(1.0)
        replies = await keep_asking(sturdy.address, [request], 2, slow.done)
        assert set(statuses(replies)) == {200}
        return await slow

    began = time.monotonic()
    found = asyncio.run(main())
    print(f"sent away after {time.monotonic() - began:.1f} s")
    for answers, (_, _, _, told) in zip(found, CROWDS.values(), strict=True):
        assert all(answer.startswith(told) if told else not answer for answer in answers), set(answers)
    assert time.monotonic() - began < TIMEOUT + TOLD
    until = time.monotonic() + TOLD
    while worker.num_fds() > files + 5:
        assert time.monotonic() < until, worker.num_fds() - files
        time.sleep(0.1)


def test_clients_that_never_read_hold_up_nobody(sturdy: Sturdy) -> None:
    [worker] = psutil.Process(sturdy.server.process.pid).children(recursive=True)
    before = worker.memory_info().rss
    asked = b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n" + sturdy.key_header.encode() + b"\r\n"
    with contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(socket.create_connection(sturdy.address)) for _ in range(50)]
        for _ in range(20):
            for connection in deaf:
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.send(asked * 50)
            time.sleep(0.05)
        assert asyncio.run(ask_some(sturdy)) == {200: 20}
        print(f"memory: {(worker.memory_info().rss - before) / 1e6:+.0f} MB")
        assert worker.memory_info().rss < before + 50e6


async def ask_some(sturdy: Sturdy) -> dict[int, int]:
    connections = Connections(*sturdy.address)
    request = post("/v1/predict", BODY, headers=sturdy.key_header)
    replies = [await connections.ask(request) for _ in range(20)]
    await connections.close()
    return dict(statuses(replies))


def test_an_endless_head_takes_no_memory(sturdy: Sturdy) -> None:
    [worker] = psutil.Process(sturdy.server.process.pid).children(recursive=True)
    before = worker.memory_info().rss
    for line in (b"X-Header: y\r\n", b"y" * 100):
        with socket.create_connection(sturdy.address, timeout=TOLD) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /livez HTTP/1.1\r\n")
            for _ in range(50_000_000 // 65536):
                connection.sendall(line * (65536 // len(line)))
            raise AssertionError("it reads on")
    assert worker.memory_info().rss < before + 20e6
