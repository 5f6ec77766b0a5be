"""Ten times what the service can do: refusals at once, no answer lost, and well again right after."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving.reliability.conftest import TIMEOUT, Sturdy, start
from tests.serving.reliability.load import Reply, build_slow, keep_asking, offer, percentile, post, statuses

BODY = json.dumps({"model": "slow", "text": "red house", "genomics": {"gene_A": 1.5}}).encode()
OVER = 10
TRIES = 3
pytestmark = pytest.mark.alone


def alone(sturdy: Sturdy, request: bytes) -> float:
    """Seconds of the fastest of a few requests, one after the other."""
    until = time.monotonic() + 0.5
    replies = asyncio.run(keep_asking(sturdy.address, [request], 1, lambda: time.monotonic() > until))
    assert set(statuses(replies)) == {200}
    return min(reply.seconds for reply in replies)


def capacity(sturdy: Sturdy, request: bytes, seconds: float) -> float:
    """Answers in a second, when eight clients ask for more whenever they are answered."""
    until = time.monotonic() + seconds
    replies = asyncio.run(keep_asking(sturdy.address, [request], 8, lambda: time.monotonic() > until))
    assert set(statuses(replies)) == {200}
    return len(replies) / seconds


def check(replies: list[Reply], rate: float) -> None:
    print(f"offered {rate:.0f}/s, {dict(statuses(replies))}")
    assert set(statuses(replies)) == {200, 503}, [reply for reply in replies if reply.status not in (200, 503)][:3]
    accepted = [reply for reply in replies if reply.status == 200]
    print(f"p50 {percentile(accepted, 0.5):.2f} s, p99 {percentile(accepted, 0.99):.2f} s of those accepted")
    assert percentile(accepted, 0.99) < TIMEOUT
    for reply in replies:
        if reply.status == 503:
            assert int(reply.headers["retry-after"]) >= 1
            assert reply.json()["type"] == "urn:infobridge:problem:overloaded"
        else:
            assert reply.json()["model"] == "slow"


def overload(sturdy: Sturdy, seconds: float) -> None:
    request = post("/v1/predict", BODY, headers=sturdy.key_header)
    before = alone(sturdy, request)
    rate = OVER * capacity(sturdy, request, 1.0)
    check(asyncio.run(offer(sturdy.address, [request], rate, seconds)), rate)
    after = alone(sturdy, request)
    print(f"alone: {1e3 * before:.1f} ms before, {1e3 * after:.1f} ms after")
    assert after < 5 * before


def test_ten_times_the_capacity(sturdy: Sturdy) -> None:
    overload(sturdy, 2.0)


@pytest.mark.slow
def test_ten_times_the_capacity_for_a_minute(sturdy: Sturdy) -> None:
    overload(sturdy, 60.0)


@contextmanager
def fresh(folder: Path) -> Iterator[Sturdy]:
    """A server that has not been asked for anything, of a model that would take longer for a full queue than it may."""
    folder.mkdir()
    yield from start(folder, {"slow": build_slow(folder / "served", products=60)}, timeout=4)


def test_a_burst_before_anything_was_asked(tmp_path: Path) -> None:
    """All at once: only as many are let in as can be answered in time, the others are told to come back.

    What can be answered in time was measured at the start: a machine that is then slower for others' work has too many.
    """
    for number in range(TRIES):
        with fresh(tmp_path / str(number)) as sturdy:
            request = post("/v1/predict", BODY, headers=sturdy.key_header)
            replies = asyncio.run(offer(sturdy.address, [request], 1e9, 0.1, most=60))
        if 504 not in statuses(replies):
            break
    assert len(replies) >= 60
    check(replies, 60)
