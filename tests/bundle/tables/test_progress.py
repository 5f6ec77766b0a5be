"""How far a run is, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from bundle.tables.progress import RunProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(terminal: bool, total: int, done: int, failed: int, seconds: list[float]) -> list[str]:
    """What is printed when rows come back after so many seconds each; every third is an error."""
    clock, written = Clock(), io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=100, highlight=False, legacy_windows=False)
    with RunProgress(total, done, failed, console, clock) as progress:
        for number, passed in enumerate(seconds):
            clock.now += passed
            progress.advance(failed=number % 3 == 2)
    return written.getvalue().splitlines()


def test_lines_now_and_then_where_there_is_no_terminal() -> None:
    lines = shown(False, total=100, done=40, failed=1, seconds=[0.5] * 30)
    assert lines == [
        "60 of 100 rows, 2.0 rows/s, 7 errors, 0:00:20 left",
        "70 of 100 rows, 2.0 rows/s, 11 errors, 0:00:15 left",
    ]


def test_hours_are_hours() -> None:
    assert shown(False, total=10_000, done=0, failed=0, seconds=[10.0])[-1].endswith(
        "1 rows/s, 0 errors, 27:46:30 left"
    )


def test_a_run_with_nothing_to_ask_says_nothing() -> None:
    assert shown(False, total=10, done=10, failed=3, seconds=[]) == []


def test_a_bar_on_a_terminal() -> None:
    *_, last, end = shown(True, total=100, done=40, failed=1, seconds=[0.5] * 30)
    assert "70/100" in last and "2.0 rows/s, 11 errors, 0:00:15 left" in last and end == "\x1b[?25h"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_was_done_is_shown_where_a_run_is_stopped(terminal: bool) -> None:
    lines = shown(terminal, total=100, done=0, failed=0, seconds=[1.0] * 3)
    assert "1.0 rows/s, 1 errors, 0:01:37 left" in lines[-2 if terminal else -1]
