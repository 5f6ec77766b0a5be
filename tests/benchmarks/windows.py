"""Measurements of as long as it takes on a machine that does other things as well."""

from collections.abc import Callable
from typing import TypeVar

LONGEST = 60.0
"""Seconds after which nothing is waited for any more."""
Found = TypeVar("Found")


def widened(measure: Callable[[float], Found], enough: Callable[[Found], bool], seconds: float) -> Found:
    """What was measured in the first window that saw enough, each four times as long as the one before.

    Args:
        measure: measures for so many seconds.
        seconds: the first window.
    """
    while not enough(found := measure(seconds)) and seconds < LONGEST:
        seconds *= 4
    return found
