"""Giving memory back: what the garbage collector is late to find, and what the C library keeps for later."""

import ctypes
import gc


def release() -> None:
    """Collect, and return free memory to the system; takes tens of milliseconds, so call it from a thread."""
    gc.collect()
    trim()


def trim() -> None:
    """Return what the C library holds free to the system, where it can (glibc)."""
    trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trimming is not None:
        trimming(0)
