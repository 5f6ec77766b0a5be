"""The micro-batcher, alone: order, sharing, isolation, cancellation and limits."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from serving.batcher import Bucket, Done, MicroBatcher, QueueFull

PATIENCE = 30.0


class Gate:
    """A batch function that waits to be let through, and remembers what it was given."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.calls: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        self.entered.set()
        assert self.open.wait(PATIENCE)
        if any(item < 0 for item in items):
            raise ValueError("a negative item")
        return [item * 10 for item in items]


Body = Callable[[MicroBatcher[int, int], Gate], Awaitable[None]]


def run(
    body: Body, max_batch: int = 8, queue_length: int = 64, bucket: Callable[[int], Bucket] = lambda item: ()
) -> Gate:
    """Run `body` with a batcher whose first call waits for the gate."""
    gate = Gate()

    async def main() -> None:
        batcher = MicroBatcher(gate, bucket, max_batch, wait=0.0, queue_length=queue_length)
        batcher.start()
        try:
            async with asyncio.timeout(PATIENCE):
                await body(batcher, gate)
        finally:
            gate.open.set()
            await batcher.close()

    asyncio.run(main())
    return gate


async def blocked(batcher: MicroBatcher[int, int], gate: Gate, item: int = 0) -> "asyncio.Task[Done[int]]":
    """Occupy the batcher's thread with one item."""
    task: asyncio.Task[Done[int]] = asyncio.create_task(batcher.submit(item))
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    return task


async def submitted(batcher: MicroBatcher[int, int], items: Sequence[int]) -> list["asyncio.Task[Done[int]]"]:
    tasks: list[asyncio.Task[Done[int]]] = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_shares_a_call_in_order() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        first = await blocked(batcher, gate)
        tasks = await submitted(batcher, [1, 2, 3, 4, 5])
        gate.open.set()
        done = await asyncio.gather(*(asyncio.wait_for(task, PATIENCE) for task in tasks))
        assert [entry.result for entry in done] == [10, 20, 30, 40, 50]
        assert all(entry.queued >= 0 and entry.ran >= 0 for entry in done)
        await first

    assert run(body, max_batch=3).calls == [[0], [1, 2, 3], [4, 5]]


def test_an_item_that_fails_fails_alone() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        await blocked(batcher, gate)
        tasks = await submitted(batcher, [1, 2, -3, 4, 5])
        gate.open.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[2], ValueError)
        assert [entry.result for entry in done if isinstance(entry, Done)] == [10, 20, 40, 50]

    run(body)


def test_a_cancelled_item_is_dropped_before_the_call() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        await blocked(batcher, gate)
        tasks = await submitted(batcher, [1, 2, 3])
        tasks[1].cancel()
        await asyncio.wait({tasks[1]})
        gate.open.set()
        await asyncio.gather(tasks[0], tasks[2])

    assert run(body).calls == [[0], [1, 3]]


def test_a_cancelled_item_makes_room() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        await blocked(batcher, gate)
        tasks = await submitted(batcher, [1, 2])
        with pytest.raises(QueueFull):
            await batcher.submit(3)
        tasks[0].cancel()
        await asyncio.wait({tasks[0]})
        [late] = await submitted(batcher, [4])
        gate.open.set()
        await asyncio.gather(tasks[1], late)

    assert run(body, queue_length=2).calls == [[0], [2, 4]]


def test_an_item_cancelled_while_it_runs_harms_nobody() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        running = await blocked(batcher, gate)
        running.cancel()
        await asyncio.wait({running})
        [next_one] = await submitted(batcher, [7])
        gate.open.set()
        await next_one

    assert run(body).calls == [[0], [7]]


def test_buckets_do_not_share_a_call() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        await blocked(batcher, gate)
        tasks = await submitted(batcher, [1, 2, 3, 4])
        gate.open.set()
        await asyncio.gather(*tasks)

    assert run(body, bucket=lambda item: (item % 2,)).calls == [[0], [1, 3], [2, 4]]


BUCKETS: dict[int, Bucket] = {1: (None, None), 2: (5, None), 3: (6, None), 4: (None, 7), 5: (5, 8), 6: (6, 7)}


def test_what_fits_with_several_buckets_shares_the_call_of_the_first() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        await blocked(batcher, gate)
        tasks = await submitted(batcher, list(BUCKETS))
        gate.open.set()
        await asyncio.gather(*tasks)

    # 4 makes the bucket of 1 and 2 one of (5, 7), so that 5 fits with it no more
    assert run(body, bucket=lambda item: BUCKETS.get(item, ())).calls == [[0], [1, 2, 4], [3, 6], [5]]


def test_an_item_cancelled_while_another_bucket_runs_is_dropped() -> None:
    calls: list[list[int]] = []
    entered, leave = threading.Semaphore(0), threading.Semaphore(0)

    def function(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        entered.release()
        assert leave.acquire(timeout=PATIENCE)
        return list(items)

    async def main() -> None:
        batcher = MicroBatcher(function, lambda item: (item,), 8, wait=0.0, queue_length=8)
        tasks = await submitted(batcher, [1, 2, 3])
        batcher.start()
        assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE)
        tasks[1].cancel()
        await asyncio.wait({tasks[1]})
        leave.release(2)
        await asyncio.gather(tasks[0], tasks[2])
        await batcher.close()

    asyncio.run(main())
    assert calls == [[1], [3]]


def test_closing_cancels_what_waits() -> None:
    async def body(batcher: MicroBatcher[int, int], gate: Gate) -> None:
        await blocked(batcher, gate)
        tasks = await submitted(batcher, [1, 2])
        gate.open.set()
        await batcher.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(entry, asyncio.CancelledError) for entry in done)

    run(body)


def test_a_wrong_number_of_results_is_an_error() -> None:
    async def main() -> None:
        batcher: MicroBatcher[int, int] = MicroBatcher(lambda items: [], lambda item: (), 8, 0.0, 8)
        batcher.start()
        with pytest.raises(AssertionError, match="one result for each item"):
            await batcher.submit(1)
        await batcher.close()

    asyncio.run(main())
