"""A long life in short: nothing grows under a mixture of everything, and nothing is left behind."""

import asyncio

import pytest

from benchmarks.soak import Bounds, Reading, Report, show, soak
from tests.serving.reliability.conftest import Sturdy

SHORT = Bounds(megabytes=80.0, files=3, threads=4)
"""Some seconds are few to fit a line to: this finds what is left by every request, not by every thousandth."""


def test_nothing_grows_in_some_seconds(sturdy: Sturdy) -> None:
    report = asyncio.run(soak(sturdy, seconds=4, warm=3, idle=1))
    show(report)
    assert report.answered > 50
    assert report.failures(SHORT) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_grows_in_some_minutes(sturdy: Sturdy) -> None:
    report = asyncio.run(soak(sturdy, seconds=300, warm=60, idle=30))
    show(report)
    assert report.failures(Bounds()) == []


def readings(grown: float) -> Report:
    found = [Reading(float(second), 200.0 + grown * second / 100, 12, 10, 1) for second in range(101)]
    return Report(found, found[-1], 10.0, 1000, 0, [])


def test_what_grows_is_found() -> None:
    assert readings(5).failures(Bounds()) == []
    [failure] = readings(40).failures(Bounds())
    assert failure == "megabytes: grew by 40.0, at most 30.0 is right"
    left = Reading(110.0, 200.0, 20, 10, 4)
    report = Report(readings(0).readings, left, 10.0, 1000, 0, ["large: 500"])
    assert [failure.split(":")[0].split(",")[0] for failure in report.failures(Bounds())] == [
        "1 wrong answers",
        "files",
        "temporary",
    ]
