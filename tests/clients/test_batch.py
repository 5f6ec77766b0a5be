"""Many samples in one call, by both clients: results in order, problems as values, as few requests as allowed."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.answer import Answer
from clients.errors import InvalidCall, InvalidRequest, ServerError, TooLarge, UnexpectedAnswer
from clients.questions import Result
from clients.rest import Client
from clients.rest_async import AsyncClient
from tests.clients.service import ANSWER
from tests.clients.stub import Batches


@pytest.fixture(params=[Client, AsyncClient])
def ask(request: pytest.FixtureRequest) -> Any:
    """`predict_batch` of one of the two clients."""

    def asked(handler: Any, samples: list[Any], model: str | None = None, **options: Any) -> list[Result]:
        transport = handler if isinstance(handler, httpx.MockTransport) else httpx.MockTransport(handler)
        client = request.param("http://service", transport=transport, retries=0)
        found = client.predict_batch(samples, model, **options)
        return asyncio.run(found) if asyncio.iscoroutine(found) else found

    return asked


def texts(count: int) -> list[dict[str, Any]]:
    return [{"text": f"text {index}", "image": b"x"} for index in range(count)]


def labels(results: list[Result]) -> list[str]:
    return [result.predictions[0].label if isinstance(result, Answer) else type(result).__name__ for result in results]


def test_answers_come_in_order_in_requests_of_64(ask: Any) -> None:
    stub = Batches()
    results = ask(stub, texts(150), "one")
    assert labels(results) == [f"text {index}" for index in range(150)]
    assert stub.sizes == [64, 64, 22] and stub.models == ["one"] * 3
    assert results[149].request_id == "batch-3"
    assert ask(stub, texts(1)) == [results[0].__class__(**{**vars(results[0]), "request_id": "batch-4"})]
    assert stub.models[-1] is None


def test_options_go_with_every_request_of_a_batch(ask: Any) -> None:
    stub = Batches()
    ask(stub, texts(70), require_all=False, abstain_below=0.75)
    assert stub.options == [{"require_all": "false", "abstain_below": "0.75"}] * 2
    ask(stub, texts(1), "one")
    assert stub.options[-1] == {}


def test_nothing_asked_is_nothing_sent(ask: Any) -> None:
    stub = Batches()
    assert ask(stub, []) == [] and stub.sizes == []


def test_what_is_wrong_with_one_sample_is_its_result(ask: Any, tmp_path: Path) -> None:
    stub = Batches()
    samples = [*texts(1), {"text": "bad"}, {"image": tmp_path / "none.jpg", "text": "x"}, {}, *texts(1)]
    results = ask(stub, samples)
    assert labels(results) == ["text 0", "InvalidRequest", "InvalidCall", "InvalidCall", "text 0"]
    assert isinstance(results[1], InvalidRequest) and results[1].field == "text"
    assert (results[1].problem.kind, results[1].problem.request_id) == ("invalid-input", "batch-1")
    assert str(results[2]).startswith("image: expected a file to read") and stub.sizes == [3]


def test_where_all_cannot_be_sent_nothing_is(ask: Any) -> None:
    stub = Batches()
    assert labels(ask(stub, [{}, {"genomics": 7}])) == ["InvalidCall", "InvalidCall"] and stub.sizes == []


def test_too_much_at_once_is_sent_in_halves(ask: Any) -> None:
    stub = Batches(most=5)
    assert labels(ask(stub, texts(20))) == [f"text {index}" for index in range(20)]
    assert max(size for size in stub.sizes if size <= 5) == 5


def test_a_sample_that_is_too_large_alone_is_to_blame_alone(ask: Any) -> None:
    samples = texts(5)
    samples[3]["image"] = b"x" * 5_000
    results = ask(Batches(heaviest=3_000), samples)
    assert labels(results) == ["text 0", "text 1", "text 2", "TooLarge", "text 4"]
    assert isinstance(results[3], TooLarge) and results[3].problem.kind == "too-large"


def test_a_file_that_changes_on_the_way_is_to_blame_alone(ask: Any, tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.jpg" for index in range(4)]
    for file in files:
        file.write_bytes(b"picture")

    class Changing(httpx.MockTransport):
        """Changes a file before the body is read."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            files[2].write_bytes(b"another picture")
            return super().handle_request(request)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            files[2].write_bytes(b"another picture")
            return await super().handle_async_request(request)

    samples = [{"text": f"text {index}", "image": file} for index, file in enumerate(files)]
    results = ask(Changing(Batches()), samples)
    assert labels(results) == ["text 0", "text 1", "InvalidCall", "text 3"]
    assert isinstance(results[2], InvalidCall) and "changed meanwhile" in str(results[2])


def test_a_request_that_fails_as_a_whole_raises(ask: Any) -> None:
    with pytest.raises(ServerError):
        ask(lambda request: httpx.Response(500), texts(3))


@pytest.mark.parametrize(
    "items",
    [
        [],
        [{"answer": ANSWER}],
        [{}, {}],
        [{"answer": {**ANSWER, "predictions": []}}] * 2,
        [{"problem": "a text"}] * 2,
        [{"answer": {}}] * 2,
    ],
)
def test_an_answer_of_another_kind_is_unexpected(ask: Any, items: list[Any]) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"^expected "):
        ask(lambda request: httpx.Response(200, json={"items": items}), texts(2))


def test_a_problem_without_a_status_is_the_servers(ask: Any) -> None:
    [result] = ask(lambda request: httpx.Response(200, json={"items": [{"problem": {"detail": "x"}}]}), texts(1))
    assert isinstance(result, ServerError) and result.problem.status == 500
