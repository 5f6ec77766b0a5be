"""A new bundle takes the place of an old one in a running server, if it proves itself."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from serving.keys import add
from tests.bundles import build_bundle
from tests.serving.process import Server, environment, serving
from tests.serving.samples import rehash

BODY = {"text": "red", "genomics": [1, 2, 3, 4]}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Server, Path, dict[str, str]]]:
    """A server on a link to the first of two bundles, the link, and what administrators send."""
    for number in (1, 2):
        build_bundle(tmp_path / f"v{number}", ("text", "genomics"), labels=(f"a{number}", f"b{number}"), seed=number)
    link = tmp_path / "now"
    link.symlink_to("v1")
    key = add(tmp_path / "keys", "root", admin=True)
    variables = environment(tmp_path / "home", bundles=link, key_file=tmp_path / "keys")
    with serving(tmp_path, variables) as server:
        server.wait_for("/readyz", 200)
        yield server, link, {"X-API-Key": key}


def point(link: Path, target: str) -> None:
    """As deployments do: the link changes at once."""
    aside = link.with_name("aside")
    aside.symlink_to(target)
    os.replace(aside, link)


def labels(client: httpx.Client, headers: dict[str, str]) -> set[str]:
    response = client.post("/v1/predict", json=BODY, headers=headers)
    assert response.status_code == 200
    return {entry["label"] for entry in response.json()["predictions"]}


def test_a_reload_over_http_changes_the_model(running: tuple[Server, Path, dict[str, str]]) -> None:
    server, link, headers = running
    with server.client() as client:
        before = client.get("/v1/models", headers=headers).json()["models"][0]["sha256"]
        assert labels(client, headers) == {"a1", "b1"}
        point(link, "v2")
        assert labels(client, headers) == {"a1", "b1"}
        response = client.post("/v1/models/reload", headers=headers)
        assert response.status_code == 200
        assert response.json()["models"][0]["sha256"] != before
        assert labels(client, headers) == {"a2", "b2"}
        assert client.get("/v1/openapi.json", headers=headers).text.count('"a2"') > 0
        assert 'infobridge_reloads_total{outcome="done"} 1.0' in client.get("/metrics", headers=headers).text


def test_a_bundle_that_fails_its_own_check_leaves_the_old_one(running: tuple[Server, Path, dict[str, str]]) -> None:
    server, link, headers = running
    graph = link.parent / "v2" / "model.onnx"
    graph.write_bytes(
        (link.parent / "v1" / "model.onnx").read_bytes()
    )  # a graph that is not that of the golden samples
    rehash(graph.parent)
    point(link, "v2")
    with server.client() as client:
        response = client.post("/v1/models/reload", headers=headers)
        assert response.status_code == 409
        assert response.json()["type"] == "urn:infobridge:problem:reload-refused"
        assert "output" in response.json()["detail"]
        assert labels(client, headers) == {"a1", "b1"} and client.get("/readyz").status_code == 200
        server.process.send_signal(signal.SIGHUP)
        while server.log().count("not reloaded: ") < 2:  # the first is that of the request
            time.sleep(0.05)
        assert labels(client, headers) == {"a1", "b1"}
        point(link, "nowhere")
        assert client.post("/v1/models/reload", headers=headers).status_code == 409
        point(link, "v1")
        assert client.post("/v1/models/reload", headers=headers).status_code == 200


def test_sighup_reloads_in_the_same_worker(running: tuple[Server, Path, dict[str, str]]) -> None:
    server, link, headers = running
    workers = [child.pid for child in psutil.Process(server.process.pid).children()]
    point(link, "v2")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("reloaded: ")
    with server.client() as client:
        assert labels(client, headers) == {"a2", "b2"}
    assert [child.pid for child in psutil.Process(server.process.pid).children()] == workers
