"""Nothing that a request holds makes the server open a connection, read a file of its own, or unpickle."""

import asyncio
import json
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.serving.process import Server
from tests.serving.reliability.load import Connections, post
from tests.serving.samples import payloads

TRIES = 500
BOUNDARY = "edge"


class Bait:
    """A listening socket that counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/picture.png"
        self.visits = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def bait() -> Iterator[Bait]:
    found = Bait()
    yield found
    found.close()


def form(parts: list[tuple[str, bytes]]) -> bytes:
    """A multipart request; each part is its headers and its content."""
    lines = [f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n" for headers, content in parts]
    body = b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()
    return post("/v1/predict", body, f"multipart/form-data; boundary={BOUNDARY}")


def disposition(name: str, rest: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{rest}'


def forgeries(url: str) -> list[bytes]:
    """Requests that give an address where a file is wanted, in every place that might be looked at."""
    text = (disposition("text"), b"red house")
    uploaded = disposition("image", '; filename="a.png"')
    found = [
        form([(disposition("image"), url.encode()), text]),
        form([(disposition("image", f'; filename="{url}"'), url.encode()), text]),
        form([(disposition("image", f'; filename="{url}"'), b""), text]),
        form([(disposition("image", f"; filename*=UTF-8''{url}"), b""), text]),
        form([(f"{uploaded}\r\nContent-Location: {url}", b""), text]),
        form([(f"{uploaded}\r\nContent-Type: message/external-body; access-type=URL; URL={url}", b""), text]),
        form([(f"{uploaded}\r\nContent-Type: text/uri-list", url.encode()), text]),
        form([(f"{uploaded}\r\nContent-Type: image/svg+xml", f'<svg><image href="{url}"/></svg>'.encode()), text]),
        form([(f"{uploaded}\r\nContent-Type: application/vnd.apple.mpegurl", f"#EXTM3U\n{url}\n".encode()), text]),
        form([(uploaded, b"file:///etc/passwd"), text]),
    ]
    for name, other in (("video", "audio"), ("audio", "video")):
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n".encode()
        sound = payloads(("audio", "video"))[other]
        clip = disposition(name, f'; filename="{url}"')
        for content in (playlist, url.encode(), f"ffconcat version 1.0\nfile {url}\n".encode()):
            found.append(form([(clip, content), (disposition(other, '; filename="b"'), sound)]))
    for value in (url, {"url": url}, {"$ref": url}, [url], {"file": url}, "file:///etc/passwd"):
        found.append(post("/v1/predict", json.dumps({"image": value, "text": "red"}).encode()))
    found.append(post("/v1/predict", json.dumps({"image": url, "text": "red", "model": "image-text"}).encode()))
    return found


def worker_of(server: Server) -> psutil.Process:
    """The process that answers."""
    [found] = psutil.Process(server.process.pid).children(recursive=True)
    return found


def test_the_worker_runs_on_uvloop(server: Server) -> None:
    """BentoML fetches only where uvloop is, whose guard against it many requests at once get past."""
    maps = Path(f"/proc/{worker_of(server).pid}/maps").read_text()
    assert "uvloop/loop" in maps


def test_an_address_in_the_place_of_a_file_is_refused_and_never_fetched(server: Server, bait: Bait) -> None:
    with socket.create_connection(("127.0.0.1", bait.port)):
        pass
    until = time.monotonic() + 10
    while not bait.visits and time.monotonic() < until:
        time.sleep(0.01)
    assert bait.visits == 1, "the bait counts"
    requests = forgeries(bait.url)

    async def ask_all() -> dict[int, int]:
        connections = Connections(server.host, server.port)

        async def patient(request: bytes) -> int:
            while (reply := await connections.ask(request)).status == 503:
                await asyncio.sleep(0.2)
            return reply.status

        found = await asyncio.gather(*(patient(requests[number % len(requests)]) for number in range(TRIES)))
        await connections.close()
        return {status: found.count(status) for status in set(found)}

    found = asyncio.run(ask_all())
    assert set(found) <= {415, 422} and found[422] > TRIES / 3, found
    assert bait.visits == 1
    assert not [entry for entry in worker_of(server).net_connections() if entry.raddr and entry.raddr.port == bait.port]


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_nothing_is_unpickled(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    traps = {}
    paths = ("/v1/predict", "/v1/predict/batch", "/predict", "/")
    for number, kind in enumerate(
        (
            "application/vnd.bentoml+pickle",
            "application/vnd.bentoml.stream+pickle",
            "application/pickle",
            "application/x-pickle",
            "application/python-pickle",
            "application/octet-stream",
            "application/vnd.apache.arrow.stream",
            "application/vnd.bentoml.batched",
        )
    ):
        traps[kind] = tmp_path / f"trap-{number}"
        content = pickle.dumps(Trap(traps[kind]))
        for path in paths:
            headers = {"Content-Type": kind, "Payload-Container": "PickleBytes", "Kwarg-Payload-Containers": "x"}
            status = client.post(path, content=content, headers=headers).status_code
            assert status == (415 if path.startswith("/v1") else 404 if path != "/" else 405), (path, kind)
        files = {"image": ("a.pkl", content, kind), "text": ("a.txt", content, kind)}
        assert client.post("/v1/predict", files=files).status_code in (415, 422)
    probe = tmp_path / "probe"
    pickle.loads(pickle.dumps(Trap(probe)))
    assert probe.exists(), "the trap works"
    assert not [kind for kind, path in traps.items() if path.exists()]


@pytest.mark.parametrize(
    "path",
    ["/schema.json", "/docs.json", "/static_content", "/static_content/index.css", "/predict", "/call", "/tasks"],
)
def test_no_route_of_bentoml_is_reachable(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        response = client.request(method, path)
        assert response.status_code == 404
        assert response.json()["type"] == "urn:infobridge:problem:unknown-path"
