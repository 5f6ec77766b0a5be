"""A load generator for one machine: bounded, loopback only, keep-alive, every answer checked.

Closed loop: each connection sends its next request when the last is answered; says what a system can do.
Open loop: requests start when they are due, whether or not others are answered, and wait for a free connection if need
be; latency counts from the moment they were due, so a stall is not hidden by the requests it held back.
"""

import asyncio
import itertools
import random
import re
import selectors
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from time import perf_counter

from benchmarks.call import Call, Figures, Target

LONGEST = 600.0
"""Seconds of one measurement at most."""
MOST = 1_000_000
"""Requests of one measurement at most."""
PATIENCE = 30.0
"""Seconds after the end in which what is under way may still be answered."""
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
CLOSING = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._received = bytearray()
        self._needed: int | None = None
        self.call: Call | None = None
        self.due = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, call: Call, request: bytes, due: float) -> None:
        """Start a request that was due at `due`, in `perf_counter` seconds."""
        self.call, self.due = call, due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._needed is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = LENGTH.search(self._received, 0, end + 2)
            if length is None:
                self._run.failed(self, "no Content-Length")
                return
            self._needed = end + 4 + int(length[1])
        if len(self._received) < self._needed:
            return
        answer = bytes(self._received)
        self._received.clear()
        self._needed = None
        self._run.answered(self, answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self.call is not None:
            self._run.failed(self, type(error).__name__ if error else "connection closed")


class _Run:
    """What the two loops share: requests in turn, checks, counts."""

    def __init__(self, target: Target, calls: Sequence[Call], seconds: float, warmup: float) -> None:
        assert calls and 0 < seconds and seconds + warmup <= LONGEST
        self.target = target
        self.figures = Figures(seconds)
        self._calls: Iterator[tuple[Call, bytes]] = itertools.cycle([(call, call.request(target)) for call in calls])
        self.left = MOST
        self.begin = perf_counter() + warmup
        self.end = self.begin + seconds
        self.idle: deque[_Connection] = deque()
        self.busy = 0
        self.reconnecting: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """One more connection that waits for work."""
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: _Connection(self), self.target.host, self.target.port)
        except OSError as error:
            self.figures.refuse(type(error).__name__)
            await asyncio.sleep(0.1)  # a server that is gone is not asked a thousand times a second
            return
        self.idle.append(connection)
        self.next()

    def send(self, due: float) -> None:
        """The next request on an idle connection."""
        connection = self.idle.popleft()
        if connection.transport.is_closing():  # the server ended it while it was idle
            self._replace()
            return
        self.left -= 1
        self.busy += 1
        connection.send(*next(self._calls), due)

    def answered(self, connection: _Connection, answer: bytes) -> None:
        """Check and count one answer."""
        now = perf_counter()
        call, connection.call = connection.call, None
        self.busy -= 1
        self.figures.answered += 1
        assert call is not None, "an answer belongs to a request"
        status = STATUS.match(answer)
        if status is None or status[1] != b"200":
            self.figures.refuse("no status" if status is None else status[1].decode())
        elif not call.answered_by(answer):
            self.figures.mismatches += 1
        elif self.counts(connection.due, now):
            self.figures.latencies.append(now - connection.due)
        if CLOSING.search(answer, 0, answer.find(b"\r\n\r\n") + 2):
            connection.transport.close()
            self._replace()
        else:
            self.idle.append(connection)
            self.next()

    def failed(self, connection: _Connection, reason: str) -> None:
        """Count a request without an answer."""
        connection.call = None
        self.busy -= 1
        self.figures.refuse(reason)
        connection.transport.abort()
        self._replace()

    def _replace(self) -> None:
        if perf_counter() < self.end:
            task = asyncio.get_running_loop().create_task(self.connect())
            self.reconnecting.add(task)
            task.add_done_callback(self.reconnecting.discard)

    def counts(self, due: float, now: float) -> bool:
        raise NotImplementedError

    def next(self) -> None:
        raise NotImplementedError

    async def finish(self) -> Figures:
        """Wait for what is under way, then close."""
        limit = perf_counter() + PATIENCE
        while self.busy and perf_counter() < limit:
            await asyncio.sleep(0.01)
        for _ in range(self.busy):
            self.figures.refuse("no answer")
        if self.reconnecting:  # what connects at the very end would be left open
            await asyncio.wait(self.reconnecting, timeout=PATIENCE)
        for connection in self.idle:
            connection.transport.close()
        await asyncio.sleep(0)
        return self.figures


class _Closed(_Run):
    def counts(self, due: float, now: float) -> bool:
        return self.begin <= now <= self.end

    def next(self) -> None:
        now = perf_counter()
        while self.idle and now < self.end and self.left > 0:
            self.send(now)

    async def run(self, connections: int) -> Figures:
        for _ in range(connections):
            await self.connect()
        await asyncio.sleep(max(0.0, self.end - perf_counter()))
        return await self.finish()


class _Open(_Run):
    def __init__(self, target: Target, calls: Sequence[Call], seconds: float, warmup: float) -> None:
        super().__init__(target, calls, seconds, warmup)
        self.waiting: deque[float] = deque()

    def counts(self, due: float, now: float) -> bool:
        return due >= self.begin

    def next(self) -> None:
        while self.idle and self.waiting and self.left > 0:
            self.send(self.waiting.popleft())

    async def run(self, rate: float, connections: int, even: bool) -> Figures:
        for _ in range(connections):
            await self.connect()
        generator = random.Random(0)
        due = perf_counter()
        while due < self.end and self.left > len(self.waiting):
            delay = due - perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            self.waiting.append(due)
            self.next()
            due += 1 / rate if even else generator.expovariate(rate)
        limit = perf_counter() + PATIENCE
        while self.waiting and perf_counter() < limit:
            await asyncio.sleep(0.01)
        for _ in self.waiting:
            self.figures.refuse("no free connection")
        return await self.finish()


def closed_loop(
    target: Target, calls: Sequence[Call], connections: int, seconds: float, warmup: float = 0.5
) -> Figures:
    """Each of some connections as fast as it is answered; counts what is answered between warm-up and end."""
    return _run(_Closed(target, calls, seconds, warmup).run(connections))


def open_loop(
    target: Target,
    calls: Sequence[Call],
    rate: float,
    seconds: float,
    even: bool = True,
    connections: int = 32,
    warmup: float = 0.5,
) -> Figures:
    """So many requests a second, evenly or at random moments; counts what was due between warm-up and end."""
    return _run(_Open(target, calls, seconds, warmup).run(rate, connections, even))


def _run(work: Coroutine[object, object, Figures]) -> Figures:
    """Run on a loop whose timers are exact to microseconds, as those of epoll are not."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(work)
