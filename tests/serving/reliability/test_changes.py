"""Stopping and reloading under load: no request that was accepted is lost, and nobody is refused for it."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bundle.manifest import GRAPH
from tests.bundles import build_bundle
from tests.serving.process import environment, serving
from tests.serving.reliability.conftest import Sturdy, start
from tests.serving.reliability.load import DROPPED, Connections, Reply, build_slow, keep_asking, post, statuses

ASKED = {"model": "slow", "text": "red house", "genomics": {"gene_A": 1.5}}
PATIENCE = 60.0


def shares(reply: Reply) -> list[float]:
    """The probabilities, by which answers of different bundles differ."""
    found: Any = reply.json()
    return [entry["probability"] for entry in found["predictions"]]


@pytest.fixture
def changing(sturdy: Sturdy) -> Iterator[Sturdy]:
    """The server, whose slow bundle may be exchanged; afterwards the first one is served again."""
    yield sturdy
    served, former = sturdy.bundles["slow"], sturdy.bundles["slow"].with_name("former")
    if former.exists():
        shutil.rmtree(served)
        former.rename(served)
        assert reload_by_request(sturdy) == 200


async def under_load(sturdy: Sturdy, change: Callable[[], object], seconds: float) -> list[Reply]:
    """Every reply to eight clients, while `change` happens in a thread after a while."""
    request = post("/v1/predict", json.dumps(ASKED).encode(), headers=sturdy.key_header)
    over = False
    asking = asyncio.create_task(keep_asking(sturdy.address, [request], 8, lambda: over))
    await asyncio.sleep(seconds)
    await asyncio.to_thread(change)
    await asyncio.sleep(seconds)
    over = True
    return await asking


def exchange(sturdy: Sturdy, replacement: Path) -> None:
    """Put another bundle in the place of the one that is served."""
    served = sturdy.bundles["slow"]
    served.rename(served.with_name("former"))
    replacement.rename(served)


def reload_by_request(sturdy: Sturdy) -> int:
    with sturdy.server.client() as client:
        return client.post("/v1/models/reload", headers={"X-API-Key": sturdy.key}).status_code


def reload_by_signal(sturdy: Sturdy) -> int:
    """SIGHUP to the process that was started; it ends when the log tells how the reload did."""
    before = sturdy.server.log().count("reloaded: ")
    refused = sturdy.server.log().count("not reloaded: ")
    sturdy.server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        log = sturdy.server.log()
        if log.count("not reloaded: ") > refused:
            return 409
        if log.count("reloaded: ") > before:
            return 200
        time.sleep(0.05)
    raise AssertionError(sturdy.server.log()[-2000:])


RELOADS = pytest.mark.parametrize("reload", [reload_by_request, reload_by_signal])


@RELOADS
def test_a_reload_under_load_drops_nothing_and_brings_the_new_bundle(
    changing: Sturdy, tmp_path: Path, reload: Callable[[Sturdy], int]
) -> None:
    replacement = build_slow(tmp_path / "replacement", seed=5)
    found: list[int] = []

    def change() -> None:
        exchange(changing, replacement)
        found.append(reload(changing))

    replies = asyncio.run(under_load(changing, change, 0.5))
    assert found == [200]
    assert set(statuses(replies)) == {200}, statuses(replies)
    answers = [shares(reply) for reply in replies]
    assert answers[0] != answers[-1]
    assert {tuple(answer) for answer in answers} == {tuple(answers[0]), tuple(answers[-1])}
    with changing.server.client() as client:
        metrics = client.get("/metrics", headers={"X-API-Key": changing.key}).text
    assert 'infobridge_reloads_total{outcome="done"}' in metrics


@RELOADS
def test_a_reload_to_a_broken_bundle_keeps_the_old(
    changing: Sturdy, tmp_path: Path, reload: Callable[[Sturdy], int]
) -> None:
    broken = build_slow(tmp_path / "broken", seed=5)
    (broken / GRAPH).write_bytes(b"no graph")
    found: list[int] = []

    def change() -> None:
        exchange(changing, broken)
        found.append(reload(changing))

    replies = asyncio.run(under_load(changing, change, 0.5))
    assert found == [409]
    assert set(statuses(replies)) == {200}
    assert len({tuple(shares(reply)) for reply in replies}) == 1


def test_many_reloads_leave_no_thread_no_file_and_no_model_behind(changing: Sturdy) -> None:
    [worker] = psutil.Process(changing.server.process.pid).children(recursive=True)
    for _ in range(2):
        assert reload_by_request(changing) == 200
    threads, files, memory = worker.num_threads(), worker.num_fds(), worker.memory_info().rss
    for _ in range(6):
        assert reload_by_request(changing) == 200
    assert worker.num_threads() <= threads + 1
    assert worker.num_fds() <= files + 3
    assert worker.memory_info().rss < memory + 30e6


def test_signals_to_reload_while_it_starts_do_not_end_it(tmp_path: Path) -> None:
    variables = environment(tmp_path / "home", bundles=build_bundle(tmp_path / "tiny", ("text", "genomics")))
    with serving(tmp_path, variables) as server:
        started = psutil.Process(server.process.pid)
        while not started.children(recursive=True):
            assert server.process.poll() is None, server.log()
            time.sleep(0.01)
        [worker] = started.children(recursive=True)
        while True:  # as long as it starts, whatever it is at
            server.process.send_signal(signal.SIGHUP)
            with server.client() as client:
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except OSError:
                    pass
            assert server.process.poll() is None, server.log()
            time.sleep(0.05)
        assert [child.pid for child in started.children(recursive=True)] == [worker.pid]
        server.wait_for_log("reloaded: ")  # what was asked for while the models were being loaded is not forgotten
        assert "not reloaded" not in server.log()


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Sturdy]:
    """A server of its own, to be stopped, whose answers take long enough to be caught in the middle."""
    yield from start(tmp_path, {"slow": build_slow(tmp_path / "served", products=30)}, timeout=60)


def test_a_stop_under_load_answers_whatever_was_accepted(ending: Sturdy) -> None:
    """Requests that were sent before the signal: each gets its answer, though the server takes no more."""
    request = post("/v1/predict", json.dumps(ASKED).encode(), headers=ending.key_header)

    async def main() -> tuple[list[Reply], list[Reply]]:
        connections = Connections(*ending.address)
        accepted = [asyncio.create_task(connections.ask(request)) for _ in range(40)]
        async with asyncio.timeout(PATIENCE):
            while await in_progress(ending) < 20:
                await asyncio.sleep(0.01)
        ending.server.process.send_signal(signal.SIGTERM)
        late = [await connections.ask(request) for _ in range(3)]
        replies = list(await asyncio.gather(*accepted))
        await connections.close()
        return replies, late

    replies, late = asyncio.run(main())
    assert statuses(replies) == {200: 40}
    assert set(statuses(late)) <= {200, DROPPED}
    assert ending.server.process.wait(30) == 0
    assert os.listdir(ending.temporary) == []
    assert '"level": "error"' not in ending.server.log()


async def in_progress(sturdy: Sturdy) -> float:
    reply = await Connections(*sturdy.address).ask(
        f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{sturdy.key_header}\r\n".encode()
    )
    [line] = [line for line in reply.body.decode().splitlines() if line.startswith("infobridge_requests_in_progress ")]
    return float(line.split()[1])
