"""Both clients over real sockets: files that are streamed, servers that refuse early, break off or stay open."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.answer import Answer
from clients.errors import ConnectionFailed, InvalidCall, TimedOut, TooLarge
from clients.payloads import Payload
from clients.rest import Client
from clients.rest_async import AsyncClient
from clients.retrying import Retries
from tests.clients.service import ANSWER
from tests.clients.sockets import body, head, listening, say
from tests.conftest import ROOT

CONTENT = json.dumps(ANSWER).encode()
LARGE = 256 * 1024 * 1024
MIDDLE = 32 * 1024 * 1024
Ask = Callable[..., Answer]


@pytest.fixture(params=[False, True], ids=["waiting", "awaiting"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """One prediction by one of the two clients."""

    def asked(url: str, retries: int = 0, timeout: float = 20.0, **payloads: Payload) -> Answer:
        patience = Retries(retries, first_pause=0.0)

        async def awaited() -> Answer:
            async with AsyncClient(url, timeout, patience) as client:
                return await client.predict(model=None, **payloads)

        if request.param:
            return asyncio.run(awaited())
        with Client(url, timeout, patience) as client:
            return client.predict(model=None, **payloads)

    return asked


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.touch()
    os.truncate(path, LARGE)
    return path


def answer(connection: socket.socket) -> None:
    body(connection)
    say(connection, "200 OK", CONTENT)


STREAM = """
import resource, sys
from pathlib import Path
from tests.clients.test_network import {kind}
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
{code}
print(peak() - before)
"""
WAITING = "with Client(sys.argv[1]) as client: client.predict(video=Path(sys.argv[2]))"
AWAITING = """
import asyncio
async def ask():
    async with AsyncClient(sys.argv[1]) as client: await client.predict(video=Path(sys.argv[2]))
asyncio.run(ask())
"""


@pytest.mark.parametrize(("kind", "code"), [("Client", WAITING), ("AsyncClient", AWAITING)])
def test_a_large_file_is_never_held_whole(large: Path, kind: str, code: str) -> None:
    seen: list[tuple[dict[str, str], int]] = []

    def discard(connection: socket.socket) -> None:
        seen.append(body(connection))
        say(connection, "200 OK", CONTENT)

    with listening(discard) as url:
        command = [sys.executable, "-c", STREAM.format(kind=kind, code=code), url, str(large)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    [(headers, size)] = seen
    assert "transfer-encoding" not in headers and size == int(headers["content-length"]) > LARGE
    assert int(run.stdout) < 24, "megabytes more than before the call"


@pytest.mark.parametrize("closing", [True, False])
def test_an_early_refusal_is_understood_while_still_sending(ask: Ask, large: Path, closing: bool) -> None:
    over = threading.Event()

    def refuse(connection: socket.socket) -> None:
        head(connection)
        say(connection, "413 Content Too Large", b'{"detail": "at most 1,000 bytes"}', "Connection: close")
        if not closing:
            over.wait(20)

    with listening(refuse) as url:
        try:
            with pytest.raises(TooLarge, match=r"^at most 1,000 bytes \(HTTP 413\)$"):
                ask(url, video=large)
        finally:
            over.set()


def test_a_server_that_takes_nothing_more_is_a_timeout(ask: Ask, large: Path) -> None:
    over = threading.Event()

    def stop(connection: socket.socket) -> None:
        head(connection)
        over.wait(20)

    with listening(stop) as url:
        try:
            with pytest.raises(TimedOut, match=r"within 0\.3 seconds"):
                ask(url, timeout=0.3, video=large)
        finally:
            over.set()


def half(connection: socket.socket) -> None:
    body(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


def nothing(connection: socket.socket) -> None:
    body(connection)


def unread(connection: socket.socket) -> None:
    head(connection)


@pytest.mark.parametrize("broken", [half, nothing, unread])
def test_a_connection_that_broke_is_made_anew_and_everything_sent_again(
    ask: Ask, large: Path, broken: Callable[[socket.socket], None]
) -> None:
    os.truncate(large, MIDDLE)
    sizes: list[int] = []

    def whole(connection: socket.socket) -> None:
        headers, size = body(connection)
        sizes.append(size - int(headers["content-length"]))
        say(connection, "200 OK", CONTENT)

    with listening(broken, broken, whole) as url:
        assert ask(url, retries=2, video=large).model == "image-text"
    assert sizes == [0]
    with listening(broken) as url, pytest.raises(ConnectionFailed, match=f"^{url} does not answer: "):
        ask(url, retries=1, video=large)


@pytest.mark.parametrize("size", [1000, LARGE + 1])
def test_a_file_that_changes_while_it_is_sent_is_the_callers_mistake(ask: Ask, large: Path, size: int) -> None:
    def change(connection: socket.socket) -> None:
        head(connection)
        os.truncate(large, size)
        while connection.recv(1 << 20):
            pass

    with listening(change) as url, pytest.raises(InvalidCall, match=r"^video: expected a file that stays as it is"):
        ask(url, retries=3, video=large)


def test_a_file_that_is_gone_at_the_second_attempt_is_the_callers_mistake(ask: Ask, large: Path) -> None:
    def remove(connection: socket.socket) -> None:
        large.unlink()
        head(connection)

    with (
        listening(remove, answer) as url,
        pytest.raises(InvalidCall, match=r"^video: expected a file to read, .*No such"),
    ):
        ask(url, retries=3, video=large)


def test_a_pipe_is_read_once(ask: Ask, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"x" * 100_000,))
    writing.start()
    with listening(nothing, answer) as url:
        assert ask(url, retries=1, audio=tmp_path / "pipe").model == "image-text"
    writing.join()


class Counter:
    """A server that answers for ever on each connection."""

    def __init__(self, wait: float = 0.0) -> None:
        self.connections = self.open = self.most = 0
        self.wait, self.lock = wait, threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        with self.lock:
            self.connections, self.open = self.connections + 1, self.open + 1
            self.most = max(self.most, self.open)
        try:
            while True:
                body(connection)
                time.sleep(self.wait)
                say(connection, "200 OK", CONTENT)
        finally:
            with self.lock:
                self.open -= 1


def test_connections_are_kept_and_used_again() -> None:
    counter = Counter()
    with listening(counter) as url, Client(url) as client:
        for _ in range(5):
            client.predict(text="x" * 100_000)
        assert counter.connections == 1


def test_connections_are_bounded_and_more_threads_wait() -> None:
    counter = Counter(0.02)
    with listening(counter) as url, Client(url, timeout=20, connections=2) as client:
        threads = [threading.Thread(target=client.predict, kwargs={"text": "x"}) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter.most == 2


def test_connections_of_tasks_are_bounded_and_kept() -> None:
    counter = Counter(0.02)

    async def ask_all(url: str) -> None:
        async with AsyncClient(url, timeout=20, connections=3) as client:
            await asyncio.gather(*(client.predict(text="x" * 50_000) for _ in range(12)))

    with listening(counter) as url:
        asyncio.run(ask_all(url))
    assert counter.most == counter.connections == 3


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with listening(answer) as url, Client(url) as client:
        for _ in range(3):
            assert client.predict(text="x").model == "image-text"


def test_a_proxy_of_the_environment_is_still_used(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        lines.append(connection.recv(100, socket.MSG_PEEK))
        answer(connection)

    with listening(proxy) as url:
        monkeypatch.setenv("http_proxy", url)
        with Client("http://service.invalid:3000", retries=0) as client:
            assert client.predict(text="x").model == "image-text"
    assert lines[0].startswith(b"POST http://service.invalid:3000/v1/predict HTTP/1.1\r\n")
