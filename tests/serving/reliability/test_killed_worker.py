"""A worker that is killed under load is replaced, and a patient client does not notice."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from bundle.manifest import GRAPH
from clients.answer import Answer
from clients.rest import Client
from clients.retrying import Retries
from tests.bundles import build_bundle
from tests.serving.process import environment, serving
from tests.serving.reliability.conftest import Sturdy

CLIENTS = 4
BACK_SECONDS = 10.0
CHECK_SECONDS = 1.0
"""The process manager looks that often, as `serving.hosting` tells it to."""
GENOMICS = {"gene_A": 1.5}


def test_a_killed_worker_is_replaced_and_retries_lose_nothing(sturdy: Sturdy) -> None:
    errors: list[BaseException] = []
    answers: list[Answer] = []
    over = threading.Event()
    logged = sturdy.server.log().count('"level": "error"')

    def ask() -> None:
        with Client(sturdy.server.url, retries=Retries(number=10), key=sturdy.key) as client:
            while not over.is_set():
                try:
                    answers.append(client.predict(model="slow", text="red house", genomics=GENOMICS))
                except Exception as error:
                    errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    manager = psutil.Process(sturdy.server.process.pid)
    time.sleep(1.0)
    [worker] = manager.children(recursive=True)
    killed = time.monotonic()
    worker.kill()
    sturdy.server.wait_for("/readyz", 200)
    wait = time.monotonic() - killed
    assert [child.pid for child in manager.children(recursive=True)] != [worker.pid]
    before = len(answers)
    until = time.monotonic() + 30
    while len(answers) < before + CLIENTS and time.monotonic() < until:
        time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    print(f"ready again after {wait:.1f} s; {len(answers)} answers")
    assert not errors, errors[:3]
    assert len(answers) > before, "it answers again"
    assert len({json.dumps([entry.probability for entry in answer.predictions]) for answer in answers}) == 1
    assert wait < BACK_SECONDS
    assert sturdy.server.log().count('"level": "error"') == logged


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_not_started_more_often_than_it_is_looked_after(tmp_path: Path) -> None:
    """A bundle that breaks after the check of the start: the worker says so and stays, and does not start in a loop."""
    folder = build_bundle(tmp_path / "tiny", ("text", "genomics"))
    with serving(tmp_path, environment(tmp_path / "home", bundles=folder)) as server:
        server.wait_for("/readyz", 200)
        [worker] = psutil.Process(server.process.pid).children(recursive=True)
        (folder / GRAPH).write_bytes(b"no graph")
        worker.kill()
        server.wait_for_log("not ready: ")
        time.sleep(3 * CHECK_SECONDS)
        assert server.log().count("not ready: ") == 1
        server.wait_for("/livez", 200)
        server.wait_for("/readyz", 503)


@pytest.mark.slow
def test_workers_that_die_at_once_are_replaced_at_most_once_a_check(tmp_path: Path) -> None:
    folder = build_bundle(tmp_path / "tiny", ("text", "genomics"))
    seen: set[int] = set()
    seconds = 6.0
    with serving(tmp_path, environment(tmp_path / "home", bundles=folder)) as server:
        server.wait_for("/readyz", 200)
        manager = psutil.Process(server.process.pid)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for child in manager.children():
                if child.pid not in seen:
                    seen.add(child.pid)
                    os.kill(child.pid, signal.SIGKILL)
            time.sleep(0.02)
        assert 2 <= len(seen) <= seconds / CHECK_SECONDS + 2
        server.wait_for("/readyz", 200)
        assert "ConflictError" not in server.log() and "Traceback" not in server.log()
