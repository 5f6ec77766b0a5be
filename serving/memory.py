"""Giving memory back: what the garbage collector is late to find, and what the C library keeps for later."""

import asyncio
import ctypes
import gc
from collections.abc import Callable

LOOK_SECONDS = 5.0
"""Between two looks at whether anything has come."""


def release() -> None:
    """Collect, and return free memory to the system; takes tens of milliseconds, so call it from a thread."""
    gc.collect()
    trim()


def trim() -> None:
    """Return what the C library holds free to the system, where it can (glibc)."""
    trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trimming is not None:
        trimming(0)


async def trim_when_idle(received: Callable[[], int]) -> None:
    """After each time of work, when for a while nothing has come, give back what the work left.

    Args:
        received: tells how many bytes have been received so far.
    """
    trimmed = before = received()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = received()
        if now == before != trimmed:
            await asyncio.to_thread(release)
            trimmed = now
        before = now
