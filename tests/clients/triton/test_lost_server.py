"""A Triton server that dies under its clients, and one that comes back."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bundle.predictor import Predictor
from clients.errors import ConnectionFailed
from clients.retrying import Retries
from clients.triton import AsyncClient, Client
from export.to_triton import to_triton
from scripts import triton
from tests.bundles import build_bundle
from tests.clients.triton.conftest import PATIENT, assert_same, examples
from tests.triton_server import server_or_skip

WAYS = [("http", False), ("http", True), ("grpc", False), ("grpc", True)]


def address(running: triton.Triton, protocol: str) -> str:
    return f"{protocol}://127.0.0.1:{running.http if protocol == 'http' else running.grpc}"


def test_clients_report_a_server_that_dies_and_go_on_with_the_one_in_its_place(tmp_path: Path) -> None:
    server = server_or_skip()
    bundle = build_bundle(tmp_path / "bundle", ("image", "text"))
    predictor = Predictor(bundle)
    sample = examples(predictor)
    [expected] = predictor.predict([sample])
    to_triton(bundle, tmp_path, PATIENT)
    ports = (triton.free_port(), triton.free_port())
    running = triton.start(tmp_path / "portable", tmp_path / "log", server, ports)
    patience = Retries(8, first_pause=0.5)
    clients = {way: Client(address(running, way[0]), bundle, shared_memory=way[1], retries=patience) for way in WAYS}
    try:
        triton.wait(running)
        for client in clients.values():
            assert_same(client.predict(**sample), expected)
        os.killpg(running.process.pid, signal.SIGKILL)
        running.stop()
        for protocol in ("http", "grpc"):
            url = address(running, protocol)
            with Client(url, bundle, retries=0) as client, pytest.raises(ConnectionFailed, match="does not answer"):
                client.predict(**sample)
            with pytest.raises(ConnectionFailed, match="does not answer"):
                asyncio.run(awaited(url, bundle, sample))
        running = triton.start(tmp_path / "portable", tmp_path / "log", server, ports)
        triton.wait(running)
        for client in clients.values():
            assert_same(client.predict(**sample), expected)  # shared memory is registered anew
    finally:
        running.stop()
        for client in clients.values():
            client.close()


async def awaited(url: str, bundle: Path, sample: dict[str, Any]) -> None:
    async with AsyncClient(url, bundle, retries=0) as client:
        await client.predict(**sample)
