"""Checks of a modality's parameters at construction: what is possible, and what came."""

import math
from collections.abc import Sequence


def check_whole(name: str, value: int, lowest: int, highest: int) -> None:
    """Refuse what is not a whole number in `lowest..highest`.

    Raises:
        ValueError: saying which numbers are possible.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"{name}: expected a whole number from {lowest} to {highest}, found {value!r}")


def check_finite(name: str, value: float) -> None:
    """Refuse NaN and the infinities.

    Raises:
        ValueError: saying what came.
    """
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, found {value!r}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number over 0.

    Raises:
        ValueError: saying what came.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a finite number over 0, found {value!r}")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse what is not one of `choices`.

    Raises:
        ValueError: naming the choices.
    """
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(str, choices))}, found {value!r}")
