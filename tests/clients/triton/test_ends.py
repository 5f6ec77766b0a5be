"""How calls end that no server answers: a client that was closed, and an answer that never ends."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import socket

import pytest

from clients.errors import ConnectionFailed, TimedOut
from clients.triton import AsyncClient, Client
from tests.bundles import build_bundle
from tests.clients.sockets import head, listening

PAUSE = 0.1
"""Seconds between two bytes, of which each comes in time."""
TIMEOUT = 0.4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundles") / "one", ("pathology", "genomics"))


def drip(connection: socket) -> None:
    """Begin an answer, and send a byte of it now and then for 20 seconds."""
    head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
    with suppress(OSError):
        for _ in range(200):
            time.sleep(PAUSE)
            connection.sendall(b" ")


def listen(connection: socket) -> None:
    """Read until the client goes away, and say nothing."""
    while connection.recv(1 << 16):
        pass


@pytest.fixture
def silent() -> Iterator[str]:
    with listening(listen) as address:
        yield address


@pytest.fixture
def dripping() -> Iterator[str]:
    with listening(drip) as address:
        yield address


def test_an_answer_that_trickles_ends_at_the_timeout(dripping: str, bundle: Path) -> None:
    begun = time.monotonic()
    with Client(dripping, bundle, timeout=TIMEOUT, retries=0) as client, pytest.raises(TimedOut, match=r"0\.4 seconds"):
        client._served()
    assert time.monotonic() - begun < 10


def test_a_task_ends_at_the_timeout_of_an_answer_that_trickles(dripping: str, bundle: Path) -> None:
    async def ask() -> None:
        async with AsyncClient(dripping, bundle, timeout=TIMEOUT, retries=0) as client:
            await client._served()

    begun = time.monotonic()
    with pytest.raises(TimedOut, match=r"0\.4 seconds"):
        asyncio.run(ask())
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_closed_client_says_so_by_type(bundle: Path, protocol: str) -> None:
    async def ask() -> None:
        client = AsyncClient(f"{protocol}://127.0.0.1:9", bundle, retries=0)
        await client.close()
        await client._served()

    closed = Client(f"{protocol}://127.0.0.1:9", bundle, retries=0)
    closed.close()
    with pytest.raises(ConnectionFailed, match="closed"):
        closed._served()
    with pytest.raises(ConnectionFailed, match="closed"):
        asyncio.run(ask())


async def pending(address: str, bundle: Path) -> tuple[AsyncClient, asyncio.Task[object]]:
    """A client over gRPC, and a task of its that waits for an answer."""
    client = AsyncClient(address.replace("http", "grpc"), bundle, timeout=20, retries=0)
    task: asyncio.Task[object] = asyncio.create_task(client._served())
    await asyncio.sleep(0.3)
    return client, task


def test_a_task_whose_client_is_closed_ends_by_type(silent: str, bundle: Path) -> None:
    async def ask() -> None:
        client, task = await pending(silent, bundle)
        await client.close()
        await task

    begun = time.monotonic()
    with pytest.raises(ConnectionFailed, match="closed"):
        asyncio.run(ask())
    assert time.monotonic() - begun < 10


def test_a_task_that_is_cancelled_is_cancelled(silent: str, bundle: Path) -> None:
    async def ask() -> None:
        client, task = await pending(silent, bundle)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()

    asyncio.run(ask())
