"""Giving memory back: what the garbage collector is late to find, and what the C library keeps for later."""

import asyncio
import ctypes
import gc
from collections.abc import Callable

LOOK_SECONDS = 5.0
"""Between two looks at whether anything has come."""

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Parameters of glibc's mallopt."""
LARGE = 1 << 20


def release() -> None:
    """Collect, and return free memory to the system; takes tens of milliseconds, so call it from a thread."""
    gc.collect()
    trim()


def trim() -> None:
    """Return what the C library holds free to the system, where it can (glibc)."""
    trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trimming is not None:
        trimming(0)


def return_large_blocks() -> None:
    """Let the C library give every block of a mebibyte or more back at once when it is freed, as glibc does at first.

    Left alone, glibc learns from each large block that is freed to keep the next one in its heap, where whatever
    small lies behind it holds it in place: after a few large uploads a process never becomes small again.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(MMAP_THRESHOLD, LARGE)
        choose(TRIM_THRESHOLD, LARGE)


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
