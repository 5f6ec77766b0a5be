"""Memory that is given back when nobody asks for anything."""

import asyncio

import pytest

from serving import memory


def test_memory_is_given_back_once_after_each_time_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    received = [0, 0, 0, 10, 20, 20, 20, 20, 30, 30, 30]
    looks = iter(received)
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0.0)

    async def main() -> None:
        seen = 0

        def tell() -> int:
            nonlocal seen
            try:
                seen = next(looks)
            except StopIteration:
                raise asyncio.CancelledError from None
            return seen

        monkeypatch.setattr(memory, "trim", lambda: trims.append(seen))
        with pytest.raises(asyncio.CancelledError):
            await memory.trim_when_idle(tell)

    asyncio.run(main())
    assert trims == [20, 30]


def test_the_c_library_is_asked_for_real() -> None:
    memory.release()
