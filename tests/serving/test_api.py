"""The routes in this process, with a graph that waits for us: overload, timeout, disconnection, failure."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from starlette.types import Message

from bundle.answer import Prediction
from bundle.predictor import Arrays, Predictor
from bundle.work import Work
from serving.api import Api
from serving.host import Host
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.registry import Registry
from serving.settings import Settings

PATIENCE = 30.0
BODY = {"text": "red house", "genomics": {"gene_A": 1.0}}


class SlowPredictor(Predictor):
    """Waits before every inference until it is let through; counts the samples it was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, threads=1)
        self.entered = threading.Event()
        self.open = threading.Event()
        self.sizes: list[int] = []
        self.error: Exception | None = None

    def infer(self, batch: Sequence[Arrays], work: Work | None = None) -> list[Prediction]:
        self.sizes.append(len(batch))
        self.entered.set()
        assert self.open.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return super().infer(batch, work)


@dataclass(frozen=True)
class Loaded:
    """In place of a host: these models, already loaded."""

    models: Registry

    def registry(self) -> Registry:
        return self.models


Body = Callable[[httpx.AsyncClient, SlowPredictor, Api], Awaitable[None]]


def run(folder: Path, body: Body, seconds: float = 0.0, **settings: Any) -> SlowPredictor:
    """Run `body` with a model of which a sample was measured to take so many seconds."""
    predictor = SlowPredictor(folder)

    async def main() -> None:
        chosen = Settings(decode_threads=1, **settings)
        with ThreadPoolExecutor(1) as threads:
            model = ServedModel(predictor, chosen, threads, seconds=seconds)
            api = Api(chosen, cast(Host, Loaded(Registry([model]))), Metrics())
            try:
                async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
                    await body(client, predictor, api)
            finally:
                predictor.open.set()
                await model.close()

    asyncio.run(main())
    return predictor


def ask(client: httpx.AsyncClient) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(client.post("/v1/predict", json=BODY))


async def running(client: httpx.AsyncClient, predictor: SlowPredictor) -> "asyncio.Task[httpx.Response]":
    """A request whose inference has begun."""
    task = ask(client)
    assert await asyncio.to_thread(predictor.entered.wait, PATIENCE)
    return task


@pytest.fixture
def folder(bundles: dict[str, Path]) -> Path:
    return bundles["fragile"]


def test_everything_is_503_before_the_models_are_loaded() -> None:
    async def main() -> None:
        metrics = Metrics()
        transport = httpx.ASGITransport(Api(Settings(), Host(Settings(), metrics), metrics))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for response in (await client.post("/v1/predict", json=BODY), await client.get("/v1/models")):
                assert response.status_code == 503
                assert response.json()["type"] == "urn:infobridge:problem:not-ready"
                assert response.headers["retry-after"]

    asyncio.run(main())


def test_a_full_queue_is_503_with_a_time_to_come_back(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        first = await running(client, predictor)
        others = {ask(client), ask(client)}
        refused, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        response = refused.pop().result()
        assert response.status_code == 503
        assert response.json()["type"] == "urn:infobridge:problem:overloaded"
        assert int(response.headers["retry-after"]) > 0
        predictor.open.set()
        assert (await first).status_code == (await waiting.pop()).status_code == 200

    run(folder, body, queue_length=1)


def test_one_request_too_many_is_503_before_its_body_is_read(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        first = await running(client, predictor)
        response = await client.post("/v1/predict", content=b"not even looked at")
        assert response.status_code == 503
        assert response.headers["retry-after"]
        predictor.open.set()
        assert (await first).status_code == 200
        assert (await ask(client)).status_code == 200

    run(folder, body, requests=1)


def test_what_is_too_slow_is_504_and_dropped(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        first = await running(client, predictor)
        responses = await asyncio.gather(first, ask(client), ask(client))
        for response in responses:
            assert response.status_code == 504
            assert response.json()["type"] == "urn:infobridge:problem:too-slow"
        predictor.open.set()
        assert (await ask(client)).status_code == 200

    assert run(folder, body, timeout=2.0).sizes == [1, 1]  # the first, and the one after: never the two that waited


def test_what_a_client_no_longer_waits_for_is_dropped(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        first = await running(client, predictor)
        messages: list[Message] = [
            {"type": "http.request", "body": b'{"text": "red", "genomics": [1, 2, 3, 4]}'},
            {"type": "http.disconnect"},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return messages.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": headers, "query_string": b""}
        await api(scope, receive, send)
        assert sent[0]["status"] == 499
        predictor.open.set()
        assert (await first).status_code == 200

    assert run(folder, body).sizes == [1]


def test_a_failing_graph_is_500_and_tells_nobody_what_it_was_given(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        predictor.open.set()
        predictor.error = RuntimeError("value 4711 is out of range")
        response = await ask(client)
        assert response.status_code == 500
        assert response.json()["type"] == "urn:infobridge:problem:internal-error"
        assert "4711" not in response.text

    with caplog.at_level(logging.INFO):
        run(folder, body)
    assert "RuntimeError" in caplog.text
    assert "4711" not in caplog.text


def test_who_would_wait_too_long_is_told_so_at_once(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        first = await running(client, predictor)
        waiting = ask(client)
        await asyncio.sleep(0.1)
        response = await client.post("/v1/predict", json=BODY)
        assert response.status_code == 503
        assert response.json()["type"] == "urn:infobridge:problem:overloaded"
        assert "would wait for about 20 seconds" in response.json()["detail"]
        assert response.headers["retry-after"] == "20"
        predictor.open.set()
        assert (await first).status_code == (await waiting).status_code == 200

    run(folder, body, seconds=20.0)


def test_samples_of_a_batch_that_time_runs_out_for_get_a_problem(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        asked = asyncio.create_task(client.post("/v1/predict/batch", json={"items": [BODY, {}, BODY, BODY]}))
        response = await asked
        assert response.status_code == 200
        found = [item["problem"]["type"].rsplit(":", 1)[1] for item in response.json()["items"]]
        assert found == ["too-slow", "unknown-pairing", "too-slow", "too-slow"]
        predictor.open.set()
        assert (await ask(client)).status_code == 200

    assert run(folder, body, timeout=1.0).sizes == [1, 1]  # the first of the batch, and the one after it


def test_a_batch_waits_for_room_where_a_single_request_is_refused(folder: Path) -> None:
    async def body(client: httpx.AsyncClient, predictor: SlowPredictor, api: Api) -> None:
        asked = asyncio.create_task(client.post("/v1/predict/batch", json={"items": [BODY] * 9}))
        assert await asyncio.to_thread(predictor.entered.wait, PATIENCE)
        while (await ask(client)).status_code != 503:
            await asyncio.sleep(0.01)
        predictor.open.set()
        assert ["answer" in item for item in (await asked).json()["items"]] == [True] * 9

    run(folder, body, queue_length=1)
