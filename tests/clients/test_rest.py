"""The HTTP client: typed answers, one error for every failure, and new attempts only where they are safe."""

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import httpx
import pytest

from bundle.answer import ClassProbability, ModalityAnswer, Prediction
from clients import errors
from clients.answer import Expected, Timing
from clients.errors import AnswerError, ClientError, ConnectionFailed, InvalidCall, TimedOut, UnexpectedAnswer
from clients.rest import Client
from clients.rest_async import AsyncClient
from clients.retrying import Retries
from tests.clients.service import ANSWER, MODELS, Awaited, Service, problem

OK = httpx.Response(200, json=ANSWER)


@pytest.fixture(autouse=True, params=[False, True], ids=["waiting", "awaiting"])
def pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every test is of both clients; how long each would have waited."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("clients.rest.time.sleep", waited.append)
    monkeypatch.setattr("clients.rest_async.anyio.sleep", sleep)
    monkeypatch.setattr(Service, "asynchronous", request.param)
    return waited


def test_an_answer_is_a_prediction_with_timing() -> None:
    reply = httpx.Response(200, json=ANSWER | {"since": "tomorrow"}, headers={"X-Request-ID": "r-1"})
    answer = Service(reply).client().predict(image=b"x")
    assert isinstance(answer, Prediction)
    assert answer.predictions == (ClassProbability("star", 0.75), ClassProbability("[red]circle", 0.25))
    assert answer.modalities["text"] == ModalityAnswer("[red]circle", 0.4, -0.125, None)
    assert answer.modalities["image"] == ModalityAnswer("star", 0.9, 0.5, 1.25)
    assert (answer.missing, answer.baseline, answer.disagreement) == ((), 0.375, True)
    assert (answer.unusual, answer.abstain) == (("image",), False)
    assert answer.timing == Timing(1.5, 2.0, 3.0, 7.25, receive=0.5)
    assert answer.request_id == "r-1"


def test_an_older_server_tells_less() -> None:
    timing = {"decode": 1.5, "queue": 2.0, "infer": 3.0, "total": 7.25}
    answer = Service(httpx.Response(200, json=ANSWER | {"timing": timing})).client().predict(image=b"x")
    assert answer.timing.receive == 0.0 and answer.request_id is None


@pytest.mark.parametrize("absent", ["missing", "baseline", "disagreement", "unusual", "abstain"])
def test_a_server_that_knows_of_no_missing_modalities_is_another_service(absent: str) -> None:
    """Its answers say less than callers may rely on, such as that nothing is unusual: no value stands for that."""
    content = {name: value for name, value in ANSWER.items() if name != absent}
    with pytest.raises(UnexpectedAnswer, match=absent):
        Service(httpx.Response(200, json=content)).client().predict(image=b"x")


def test_options_are_sent_only_where_they_say_something() -> None:
    service = Service(OK)
    service.client().predict(image=b"x")
    assert set(service.form()) == {"image"}
    service.client().predict(image=b"x", require_all=True, abstain_below=0.25, model="m")
    assert service.form() == {
        "image": ("image", b"x"),
        "model": (None, b"m"),
        "require_all": (None, b"true"),
        "abstain_below": (None, b"0.25"),
    }
    service.client().predict(image=b"x", require_all=False, abstain_below=0)
    assert (service.form()["require_all"], service.form()["abstain_below"]) == ((None, b"false"), (None, b"0.0"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"require_all": "yes"}, "require_all: expected True, False or None, found str"),
        ({"require_all": 1}, "require_all: expected True, False or None, found int"),
        ({"abstain_below": "0.5"}, "abstain_below: expected a number from 0 to 1, found str"),
        ({"abstain_below": True}, "abstain_below: expected a number from 0 to 1, found bool"),
        ({"abstain_below": 1.5}, "abstain_below: expected a number from 0 to 1, found 1.5"),
        ({"abstain_below": float("nan")}, "abstain_below: expected a number from 0 to 1, found nan"),
    ],
)
def test_options_that_are_none_are_refused_before_anything_is_sent(options: dict[str, Any], message: str) -> None:
    service = Service(OK)
    for ask in (
        partial(service.client().predict, image=b"x"),
        partial(service.client().predict_batch, [{"text": "x"}]),
    ):
        with pytest.raises(InvalidCall, match=f"^{message}$"):
            ask(**options)
    assert not service.requests


def test_a_key_is_sent_and_never_shown() -> None:
    service = Service(problem(401, {"X-Request-ID": "r-2"}))
    with pytest.raises(errors.Unauthorized) as caught:
        service.client(key="abc~123").predict(image=b"x")
    assert service.requests[0].headers["authorization"] == "Bearer abc~123"
    assert caught.value.problem.request_id == "r-2" and "abc" not in str(caught.value)
    with pytest.raises(errors.Unauthorized):
        service.client().models()
    assert "authorization" not in service.requests[1].headers
    for key in ("", "two words", "line\nbreak", "schlüssel"):
        with pytest.raises(InvalidCall, match=r"^key: expected printable ASCII characters") as refused:
            service.client(key=key)
        assert not key or key not in str(refused.value)


def test_models_are_typed() -> None:
    service = Service(httpx.Response(200, json=MODELS))
    [model] = service.client().models()
    assert (model.name, model.labels, model.provider) == ("image-text", ("star", "circle"), "CPUExecutionProvider")
    assert model.may_be_missing == ("image", "text") and model.abstain_below == 0.5
    assert model.expectations["image"] == Expected(0.75, 0.7, 0.8, 100)
    assert [(entry.name, entry.shape) for entry in model.inputs] == [("image", (3, 16, 16)), ("text", (None,))]
    assert (service.requests[0].method, service.requests[0].url.path) == ("GET", "/v1/models")


@pytest.mark.parametrize("address", ["http://host:1/", "http://host:1", "http://host:1/behind/a/proxy/"])
def test_paths_are_added_to_the_address(address: str) -> None:
    service = Service(OK)
    service.client(url=address).predict(image=b"x")
    assert str(service.requests[0].url) == address.rstrip("/") + "/v1/predict"


@pytest.mark.parametrize("address", ["", "localhost", "localhost:3000", "ftp://host", "http://", "http://[::1", None])
def test_an_address_that_is_none_is_refused_at_construction(address: str) -> None:
    with pytest.raises(InvalidCall, match=r"^url: expected an address such as"):
        Client(address)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused_at_construction(timeout: float) -> None:
    with pytest.raises(InvalidCall, match=r"^timeout: expected seconds over 0"):
        Client("http://host", timeout=timeout)


def test_fewer_than_no_retries_or_connections_are_refused_at_construction() -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidCall, match=r"^retries: expected 0 or more"):
            kind("http://host", retries=-1)
        with pytest.raises(InvalidCall, match=r"^connections: expected 1 or more"):
            kind("http://host", connections=0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, AnswerError),
        (413, errors.TooLarge),
        (415, errors.UnsupportedMedia),
        (422, errors.InvalidRequest),
        (429, errors.Unavailable),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.Unavailable),
        (504, errors.TimeLimit),
    ],
)
def test_every_status_has_its_class(status: int, kind: type[AnswerError]) -> None:
    service = Service(problem(status))
    with pytest.raises(ClientError) as caught:
        service.client(retries=0).predict(image=b"x")
    assert type(caught.value) is kind and isinstance(caught.value, AnswerError)
    assert str(caught.value) == f"it went wrong (HTTP {status})" and caught.value.problem.kind == "x"
    assert len(service.requests) == 1


def test_an_invalid_request_names_the_field_and_what_was_expected() -> None:
    reply = problem(422, field="image", expected="a picture", received="a song", detail="image: expected a picture")
    with pytest.raises(errors.InvalidRequest) as caught:
        Service(reply).client().predict(image=b"x")
    assert (caught.value.field, caught.value.expected, caught.value.received) == ("image", "a picture", "a song")


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    with pytest.raises(errors.NotFound, match=r"\(HTTP 404\); possible are one, two$") as caught:
        Service(problem(404, possible=["one", "two"])).client().predict(image=b"x", model="three")
    assert caught.value.problem.possible == ("one", "two")


@pytest.mark.parametrize(
    "content", [b"", b"<html>\nBad Gateway</html>", b"[]", b"7", b'[{"error": "x"}]', b"\xff\xfe", b"[" * 100_000]
)
def test_an_error_from_another_server_keeps_its_status(content: bytes) -> None:
    with pytest.raises(errors.ServerError, match=r"^Bad Gateway \(HTTP 502\)$"):
        Service(httpx.Response(502, content=content)).client().models()


def test_a_problem_with_fields_of_other_types_keeps_to_one_line() -> None:
    reply = problem(422, field=7, expected=["x"], detail={"a": "b\nc"}, possible="no list", title=None)
    with pytest.raises(errors.InvalidRequest) as caught:
        Service(reply).client().predict(image=b"x")
    assert caught.value.field is None and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, content=b"<html>hello</html>"),
        httpx.Response(200, json={}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={**ANSWER, "predictions": []}),
        httpx.Response(200, json={**ANSWER, "timing": None}),
        httpx.Response(204),
    ],
)
def test_an_answer_of_another_kind_is_unexpected(reply: httpx.Response) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"^expected "):
        Service(reply).client().predict(image=b"x")


def test_a_redirect_is_reported_and_not_followed() -> None:
    service = Service(httpx.Response(302, headers={"location": "http://elsewhere/"}))
    with pytest.raises(AnswerError, match="HTTP 302"):
        service.client().predict(image=b"x")
    assert len(service.requests) == 1


def failures() -> list[Exception]:
    """One of every exception that httpx has."""
    request = httpx.Request("GET", "http://x")
    found: list[Exception] = []
    for kind in vars(httpx).values():
        if inspect.isclass(kind) and issubclass(kind, Exception):
            if issubclass(kind, httpx.HTTPStatusError):
                found.append(kind("x", request=request, response=OK))
            elif "message" in inspect.signature(kind).parameters:
                found.append(kind("what happened"))
            else:
                found.append(kind())
    assert len(found) > 20
    return found


@pytest.mark.parametrize("failure", failures(), ids=lambda failure: type(failure).__name__)
def test_no_exception_of_httpx_reaches_the_caller(failure: Exception) -> None:
    client = Service(failure).client(retries=1)
    for ask in (client.models, partial(client.predict, image=b"x")):
        with pytest.raises(ClientError) as caught:
            ask()
        if isinstance(failure, httpx.TimeoutException):
            assert isinstance(caught.value, TimedOut)
        elif isinstance(failure, httpx.NetworkError | httpx.ProtocolError | httpx.ProxyError):
            assert isinstance(caught.value, ConnectionFailed)
        assert caught.value.__cause__ is failure
        assert str(caught.value) and "\n" not in str(caught.value)


def test_what_a_server_does_not_name_has_no_kind() -> None:
    assert errors.Problem(500, "x").kind == "" and errors.Problem(500, "x", "https://elsewhere/too-large").kind == ""


def test_errors_of_every_name_are_in_the_tree() -> None:
    assert errors.__doc__ is not None
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, Exception):
            assert issubclass(kind, ClientError) and name in errors.__doc__.split()


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_a_connection_nobody_accepted_is_tried_again(failure: Exception, pauses: list[float]) -> None:
    service = Service(failure, failure, OK)
    assert service.client(retries=2).predict(image=b"x").model == "image-text"
    assert len(service.requests) == 3 and pauses == [0.2, 0.4]
    assert service.form() == {"image": ("image", b"x")}


def test_attempts_end_when_the_retries_are_used_up(pauses: list[float]) -> None:
    service = Service(httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailed, match="http://service:3000 does not answer: refused"):
        service.client(retries=1).predict(image=b"x")
    assert len(service.requests) == 2 and len(pauses) == 1


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("slow"), httpx.WriteTimeout("slow")])
def test_what_may_still_be_computed_is_not_asked_again_unless_told_to(failure: Exception) -> None:
    service = Service(failure, OK)
    with pytest.raises(TimedOut):
        service.client(retries=5).predict(image=b"x")
    assert len(service.requests) == 1
    service = Service(failure, OK)
    assert service.client(Retries(1, timeouts=True)).predict(image=b"x").model == "image-text"


@pytest.mark.parametrize(
    "reply",
    [httpx.ReadError("cut"), httpx.WriteError("cut"), httpx.RemoteProtocolError("cut"), httpx.Response(502)],
)
def test_a_prediction_that_broke_off_is_asked_again(reply: httpx.Response | Exception, pauses: list[float]) -> None:
    service = Service(reply, OK)
    assert service.client().predict(image=b"x").model == "image-text"
    assert service.form() == {"image": ("image", b"x")} and pauses == [0.2]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(status: int, pauses: list[float]) -> None:
    service = Service(problem(status, {"Retry-After": "3"}), OK)
    assert service.client().predict(image=b"x").model == "image-text"
    assert pauses == [pytest.approx(3.2)] and len(service.requests) == 2


def test_a_busy_server_may_name_a_date(pauses: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    Service(problem(503, {"Retry-After": soon}), OK).client().predict(image=b"x")
    assert pauses == [pytest.approx(9.7, abs=1.5)]


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}, {"Retry-After": "3600"}, {"Retry-After": "-1"}])
def test_a_busy_server_that_names_no_near_time_is_not_asked_again(header: dict[str, str], pauses: list[float]) -> None:
    service = Service(problem(503, header), OK)
    with pytest.raises(errors.Unavailable) as caught:
        service.client().predict(image=b"x")
    assert caught.value.retry_after == (3600 if header == {"Retry-After": "3600"} else None)
    assert len(service.requests) == 1 and pauses == []


def test_a_server_that_stays_busy_is_reported_with_its_time() -> None:
    service = Service(problem(503, {"Retry-After": "1"}))
    with pytest.raises(errors.Unavailable) as caught:
        service.client(retries=3).predict(image=b"x")
    assert caught.value.retry_after == 1 and len(service.requests) == 4


def test_a_client_closes_its_connections() -> None:
    client = Service(OK).client()
    client.predict(image=b"x")
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.models()


def test_both_clients_are_context_managers() -> None:
    transport = httpx.MockTransport(Service(httpx.Response(200, json=MODELS)))

    async def ask() -> AsyncClient:
        async with AsyncClient("http://host", transport=transport) as opened:
            await opened.models()
        return opened

    with Client("http://host", transport=transport) as client:
        client.models()
    for closed in (client, Awaited(asyncio.run(ask()))):
        with pytest.raises(RuntimeError, match="closed"):
            closed.models()
