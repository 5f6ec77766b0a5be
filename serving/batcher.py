"""Joins samples of concurrent requests into batches, for one thread, without letting one spoil another."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Bucket = tuple[Hashable, ...]


class QueueFull(Exception):
    """As many items wait as may wait."""


@dataclass(frozen=True)
class Done(Generic[Result]):
    """A result and its two times, in seconds."""

    result: Result
    queued: float
    """From `submit` to the start of the run that gave the result."""
    ran: float
    """Duration of that run, for its whole batch."""
    size: int = 1
    """Items of that run."""


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: "asyncio.Future[Done[Result]]"
    arrived: float


class MicroBatcher(Generic[Item, Result]):
    """Calls `function` on lists of items in a thread of its own, one call at a time.

    A call that raises is repeated on either half of its items, so only the items at fault fail. Items whose caller
    was cancelled are dropped before the next call.

    Args:
        function: results of a list of items, in order.
        bucket: only items whose buckets agree share a call; a None in a bucket agrees with anything.
        max_batch: most items of a call.
        wait: seconds the first item waits for others.
        queue_length: most items that wait.
    """

    def __init__(
        self,
        function: Callable[[Sequence[Item]], Sequence[Result]],
        bucket: Callable[[Item], Bucket],
        max_batch: int,
        wait: float,
        queue_length: int,
    ) -> None:
        self._function = function
        self._bucket = bucket
        self._max_batch = max_batch
        self._wait = wait
        self._queue_length = queue_length
        self.expected: Callable[[], int] | None = None
        """Tells how many items are on their way, those that wait included: where no other is, none is waited for."""
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self._collector: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        self._collector = asyncio.create_task(self._collect())

    async def close(self) -> None:
        """Stop; what still waits is cancelled."""
        if self._collector is not None:
            self._collector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collector
        while self._waiting:
            self._waiting.popleft().future.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> int:
        """Items that wait for a call."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Done[Result]:
        """The function's result for one item.

        Raises:
            QueueFull: too many items wait; this one was not added.
            Exception: whatever the function raised on this item alone.
        """
        if len(self._waiting) >= self._queue_length:
            raise QueueFull
        entry = _Waiting[Item, Result](item, asyncio.get_running_loop().create_future(), perf_counter())
        self._waiting.append(entry)
        self._arrived.set()
        try:
            return await entry.future
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._waiting.remove(entry)
            raise
        finally:
            del entry  # an error in its future has this frame in its trace: a circle that would keep the item

    async def _collect(self) -> None:
        while True:
            await self._until_due()
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
            for entries in self._sorted(taken):
                await self._run(entries)

    def _sorted(self, taken: list[_Waiting[Item, Result]]) -> list[list[_Waiting[Item, Result]]]:
        """Entries that may share a call; what fits anywhere goes where the first are that it fits with."""
        found: list[tuple[Bucket, list[_Waiting[Item, Result]]]] = []
        for entry in taken:
            own = self._bucket(entry.item)
            place = next((place for place, (bucket, _) in enumerate(found) if _agree(bucket, own)), None)
            if place is None:
                found.append((own, [entry]))
            else:
                bucket, entries = found[place]
                found[place] = tuple(map(_known, bucket, own)), [*entries, entry]
        return [entries for _, entries in found]

    async def _until_due(self) -> None:
        """Return when a batch is full, or when the oldest item has waited long enough."""
        while len(self._waiting) < self._max_batch:
            left = self._waiting[0].arrived + self._wait - perf_counter() if self._waiting else None
            if left is not None and (left <= 0 or self._nobody_else()):
                return
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrived.wait()

    def _nobody_else(self) -> bool:
        return self.expected is not None and self.expected() <= len(self._waiting)

    async def _run(self, entries: list[_Waiting[Item, Result]]) -> None:
        live = [entry for entry in entries if not entry.future.done()]
        if not live:
            return
        began = perf_counter()
        results: Sequence[Result] | None = None
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._call, [entry.item for entry in live]
            )
        except Exception as error:
            if len(live) == 1 and not live[0].future.done():
                live[0].future.set_exception(error)
                del live, entries  # the error has this frame in its trace: a circle that would keep the item
                return
        if results is None:
            middle = len(live) // 2
            for half in (live[:middle], live[middle:]) if middle else ():
                await self._run(half)
            return
        ran = perf_counter() - began
        for entry, result in zip(live, results, strict=True):
            if not entry.future.done():
                entry.future.set_result(Done(result, began - entry.arrived, ran, len(live)))

    def _call(self, items: list[Item]) -> Sequence[Result]:
        results = self._function(items)
        assert len(results) == len(items), "a batch function gives one result for each item"
        return results


def _agree(one: Bucket, other: Bucket) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _known(one: Hashable, other: Hashable) -> Hashable:
    return other if one is None else one
