"""No request leaves anything behind that only the garbage collector finds: it may hold megabytes, and comes seldom."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Message, Scope

from serving.application import Application
from serving.settings import Settings
from tests.serving.reliability.conftest import build_bundles
from tests.serving.reliability.mixture import questions

CHUNK = 65536


async def ask(application: Application, request: bytes) -> int:
    """The status of the answer to a request, given to the application without a connection."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.split()
    pairs = [line.partition(b":") for line in lines]
    scope: Scope = {
        "type": "http",
        "method": method.decode(),
        "path": path.decode(),
        "query_string": b"",
        "headers": [(name.lower(), value.strip()) for name, _, value in pairs],
    }
    sent: list[Message] = []
    chunks = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]

    async def receive() -> Message:
        if not chunks:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return int(sent[0]["status"])


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def collecting() -> Iterator[None]:
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def kept_bytes() -> int:
    """Bytes that unreachable objects hold."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = {id(held): len(held) for entry in gc.garbage for held in gc.get_referents(entry) if isinstance(held, bytes)}
    gc.garbage.clear()
    return sum(found.values())


@pytest.mark.usefixtures("collecting")
@pytest.mark.parametrize("lane", ["direct", "batched"])
def test_no_body_outlives_its_answer(bundles: dict[str, Path], lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.loading.batch_size", lambda predictor, most: 1 if lane == "direct" else 4)
    settings = Settings(bundles=tuple(map(str, bundles.values())), inference_threads=1, access_log=False)
    asked = {question.name: question for question in questions("")}

    async def main() -> dict[str, int]:
        application = Application(settings)
        application.start(None)
        while not application.host.ready:
            await asyncio.sleep(0.05)
        kept = {}
        for question in asked.values():
            await ask(application, question.request)  # once for whatever is made at the first time
        for name, question in asked.items():
            gc.collect()
            gc.disable()
            status = await ask(application, question.request)
            await asyncio.sleep(0.05)
            kept[f"{name}: {status}"] = kept_bytes()
            gc.enable()
        await application.close()
        return kept

    kept = asyncio.run(main())
    assert {name: count for name, count in kept.items() if count > 20_000} == {}
