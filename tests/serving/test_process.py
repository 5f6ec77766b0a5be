"""The server as a process: how it starts, refuses to start, and stops."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from bundle.manifest import GOLDEN
from tests.bundles import build_bundle
from tests.serving.process import ROOT, environment, serving
from tests.serving.samples import rehash

BODY = {"text": "red", "genomics": [1, 2, 3, 4]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_bundle(tmp_path / "tiny", ("text", "genomics"))


def test_serving_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'training', 'export', 'clients'): sys.modules[name] = None\n"
        "import serving.service\n"
        "import bentoml\n"
        "assert isinstance(serving.service.InfoBridge, bentoml.Service)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(None), check=True, timeout=60)


def test_an_altered_bundle_refuses_to_start_in_one_line(folder: Path, tmp_path: Path) -> None:
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:InfoBridge", "--port", "0"]
    variables = environment(tmp_path / "home", bundles=folder)
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert str(folder) in line and "model.onnx" in line and "sha256" in line
    assert "Traceback" not in done.stderr + done.stdout


def test_the_service_refuses_to_start_without_the_gpu_that_it_requires(folder: Path, tmp_path: Path) -> None:
    variables = environment(tmp_path / "home", bundles=folder, providers="cuda,cpu", require_gpu="true", gpu_device=999)
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:InfoBridge", "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "a graph cannot run where it was asked to: cuda: " in line and "Traceback" not in done.stderr


def test_a_bundle_that_fails_its_own_check_never_becomes_ready(folder: Path, tmp_path: Path) -> None:
    with np.load(folder / GOLDEN) as file:
        entries = {name: file[name] for name in file.files}
    entries["output/logits"] = entries["output/logits"][:, ::-1]
    np.savez(folder / GOLDEN, **entries)
    rehash(folder)
    with serving(tmp_path, environment(tmp_path / "home", bundles=folder)) as server:
        server.wait_for_log("not ready: ")
        assert "output logits" in server.log()
        with server.client() as client:
            assert client.get("/livez").status_code == 200
            for response in (client.get("/readyz"), client.get("/v1/models"), client.post("/v1/predict", json=BODY)):
                assert response.status_code == 503
                assert response.json()["type"] == "urn:infobridge:problem:not-ready"


def test_a_path_with_a_space_and_no_home_of_bentoml(folder: Path, tmp_path: Path) -> None:
    """BentoML starts its workers through a process manager that once split the interpreter's path at spaces."""
    spaced = tmp_path / "with space"
    spaced.mkdir()
    (spaced / "venv").symlink_to(sys.prefix)
    folder = folder.rename(spaced / "tiny")
    variables = environment(None, bundles=folder) | {"HOME": str(spaced)}
    with serving(spaced, variables, python=str(spaced / "venv" / "bin" / "python")) as server:
        server.wait_for("/readyz", 200)
        assert httpx.post(f"{server.url}/v1/predict", json=BODY, timeout=60, trust_env=False).status_code == 200


def test_sigterm_waits_for_a_request_in_flight(folder: Path, tmp_path: Path) -> None:
    body = json.dumps(BODY).encode()
    head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    with serving(tmp_path, environment(tmp_path / "home", bundles=folder)) as server:
        server.wait_for("/readyz", 200)
        address = (server.host, server.port)
        with socket.create_connection(address, timeout=60) as busy:
            busy.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body[:5])
            server.wait_for_metric("infobridge_requests_in_progress", 2)  # this one, and the one that asks
            with socket.create_connection(address, timeout=60) as idle:
                idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                assert idle.recv(12) == b"HTTP/1.1 200"
                server.process.send_signal(signal.SIGTERM)
                read_all(idle)  # the server is shutting down: it closes what is idle
            busy.sendall(body[5:])
            answer = read_all(busy)
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["model"] == "text-genomics"
        assert server.process.wait(60) == 0


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    while chunk := connection.recv(65536):
        found += chunk
    return found
