"""A bounded open-loop generator of requests over real sockets, and a bundle whose graph takes real time."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bundle.manifest import GRAPH
from tests.bundles import build_bundle
from tests.serving.samples import replace_graph

DROPPED = 0
"""The status of a request that got no answer."""
STALE = 2.0
"""Seconds after which an idle connection is not used again: the server closes it after five."""
PATIENCE = 120.0


def build_slow(folder: Path, products: int = 4, size: int = 512, name: str = "slow", seed: int = 0) -> Path:
    """A text + genomics bundle whose graph multiplies matrices for every sample, for nothing, and adds zero of it."""
    build_bundle(folder, ("text", "genomics"), name=name, seed=seed)
    model = onnx.load(folder / GRAPH)
    graph = model.graph
    last = next(node for node in graph.node if node.output[0] == "share_genomics")
    last.output[0] = "share_before"
    generator = np.random.default_rng(seed)
    weights = generator.normal(0, size**-0.5, (size, size)).astype(np.float32)
    constants = {"slow_weights": weights, "slow_axes": np.array([1, 2]), "slow_zero": np.array(0.0, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    nodes = [
        helper.make_node("Unsqueeze", ["column_genomics", "one"], ["slow_cube"]),
        helper.make_node("Mul", ["slow_cube", "slow_weights"], ["slow_0"]),
    ]
    for index in range(products):
        nodes.append(helper.make_node("MatMul", [f"slow_{index}", "slow_weights"], [f"slow_product_{index}"]))
        nodes.append(helper.make_node("Tanh", [f"slow_product_{index}"], [f"slow_{index + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"slow_{products}", "slow_axes"], ["slow_mean"], keepdims=0),
        helper.make_node("Mul", ["slow_mean", "slow_zero"], ["slow_nothing"]),
        helper.make_node("Unsqueeze", ["slow_nothing", "one"], ["slow_column"]),
        helper.make_node("Add", ["share_before", "slow_column"], ["share_genomics"]),
    ]
    position = list(graph.node).index(last) + 1
    for node in reversed(nodes):
        graph.node.insert(position, node)
    replace_graph(folder, model)
    return folder


@dataclass(frozen=True)
class Reply:
    """What became of one request."""

    status: int
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reason: str = ""
    """Of a request that got no answer."""

    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found


def post(path: str, body: bytes, content_type: str = "application/json", headers: str = "") -> bytes:
    """A whole request as bytes; `headers` are further lines, each ended by CRLF."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n".encode("latin-1") + body


async def read_reply(reader: asyncio.StreamReader, began: float) -> Reply:
    """One answer, as far as its Content-Length says."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Reply(int(head[0].split()[1]), time.perf_counter() - began, headers, body)


async def ended(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever state it is in."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            await writer.wait_closed()


class Connections:
    """Connections that are used again, the latest first."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> Reply:
        """Send one request; a status of `DROPPED` where no answer came."""
        began = time.perf_counter()
        writer = None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self._take()
                writer.write(request)
                reply = await read_reply(reader, began)
        except (OSError, EOFError, TimeoutError) as error:
            if writer is not None:
                await ended(writer)
            return Reply(DROPPED, time.perf_counter() - began, reason=repr(error))
        if reply.headers.get("connection") == "close":
            await ended(writer)
        else:
            self._idle.append((time.monotonic(), reader, writer))
        return reply

    async def _take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._idle and time.monotonic() - self._idle[-1][0] > STALE:
            await self.close()
        if self._idle:
            _, reader, writer = self._idle.pop()
            return reader, writer
        return await asyncio.open_connection(*self._address)

    async def close(self) -> None:
        """Close what is idle."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(ended(writer) for _, _, writer in idle))


async def offer(
    address: tuple[str, int], requests: Sequence[bytes], rate: float, seconds: float, most: int = 512
) -> list[Reply]:
    """Begin `rate` requests a second, whether earlier ones are answered or not, unless `most` are under way.

    Returns one reply for each request that was begun.
    """
    connections = Connections(*address)
    tasks: list[asyncio.Task[Reply]] = []
    under_way = 0

    def done(task: asyncio.Task[Reply]) -> None:
        nonlocal under_way
        under_way -= 1

    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        while len(tasks) < elapsed * rate and under_way < most:
            tasks.append(asyncio.create_task(connections.ask(requests[len(tasks) % len(requests)])))
            tasks[-1].add_done_callback(done)
            under_way += 1
        await asyncio.sleep(0.002)
    replies = await asyncio.gather(*tasks)
    await connections.close()
    return list(replies)


async def keep_asking(
    address: tuple[str, int], requests: Sequence[bytes], clients: int, until: Callable[[], bool]
) -> list[Reply]:
    """So many clients, each of which asks again as soon as it is answered."""
    connections = Connections(*address)
    replies: list[Reply] = []

    async def client(number: int) -> None:
        while not until():
            replies.append(await connections.ask(requests[(len(replies) + number) % len(requests)]))

    await asyncio.gather(*(client(number) for number in range(clients)))
    await connections.close()
    return replies


def statuses(replies: Sequence[Reply]) -> Counter[int]:
    """How many replies of each status."""
    return Counter(reply.status for reply in replies)


def percentile(replies: Sequence[Reply], part: float) -> float:
    """Seconds that this part of the replies took at most."""
    return float(np.quantile([reply.seconds for reply in replies], part))
