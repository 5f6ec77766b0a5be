"""The HTTP client: typed answers, one error for every failure, and new attempts only where they are safe."""

import inspect
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from bundle.answer import ClassProbability, ModalityAnswer, Prediction
from clients import errors
from clients.answer import Timing
from clients.errors import AnswerError, ClientError, ConnectionFailed, InvalidCall, TimedOut, UnexpectedAnswer
from clients.rest import Client
from tests.clients.service import ANSWER, MODELS, Service, problem

OK = httpx.Response(200, json=ANSWER)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited."""
    waited: list[float] = []
    monkeypatch.setattr("clients.rest.time.sleep", waited.append)
    return waited


def test_an_answer_is_a_prediction_with_timing() -> None:
    answer = Service(OK).client().predict(image=b"x")
    assert isinstance(answer, Prediction)
    assert answer.predictions == (ClassProbability("star", 0.75), ClassProbability("[red]circle", 0.25))
    assert answer.modalities["text"] == ModalityAnswer("[red]circle", 0.4)
    assert answer.timing == Timing(1.5, 2.0, 3.0, 7.25)


def test_models_are_typed() -> None:
    service = Service(httpx.Response(200, json=MODELS))
    [model] = service.client().models()
    assert (model.name, model.labels, model.provider) == ("image-text", ("star", "circle"), "CPUExecutionProvider")
    assert [(entry.name, entry.shape) for entry in model.inputs] == [("image", (3, 16, 16)), ("text", (None,))]
    assert (service.requests[0].method, service.requests[0].url.path) == ("GET", "/v1/models")


@pytest.mark.parametrize("address", ["http://host:1/", "http://host:1", "http://host:1/behind/a/proxy/"])
def test_paths_are_added_to_the_address(address: str) -> None:
    service = Service(OK)
    with Client(address, transport=httpx.MockTransport(service)) as client:
        client.predict(image=b"x")
    assert str(service.requests[0].url) == address.rstrip("/") + "/v1/predict"


@pytest.mark.parametrize("address", ["", "localhost", "localhost:3000", "ftp://host", "http://", "http://[::1", None])
def test_an_address_that_is_none_is_refused_at_construction(address: str) -> None:
    with pytest.raises(InvalidCall, match=r"^url: expected an address such as"):
        Client(address)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused_at_construction(timeout: float) -> None:
    with pytest.raises(InvalidCall, match=r"^timeout: expected seconds over 0"):
        Client("http://host", timeout=timeout)


def test_fewer_than_no_retries_are_refused_at_construction() -> None:
    with pytest.raises(InvalidCall, match=r"^retries: expected 0 or more"):
        Client("http://host", retries=-1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, AnswerError),
        (404, errors.NotFound),
        (405, AnswerError),
        (413, errors.TooLarge),
        (415, errors.UnsupportedMedia),
        (422, errors.InvalidRequest),
        (429, errors.Unavailable),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.Unavailable),
        (504, errors.ServerError),
    ],
)
def test_every_status_has_its_class(status: int, kind: type[AnswerError]) -> None:
    service = Service(problem(status))
    with pytest.raises(ClientError) as caught:
        service.client().predict(image=b"x")
    assert type(caught.value) is kind
    assert str(caught.value) == f"it went wrong (HTTP {status})"
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
    for ask in (Client.models, lambda client: client.predict(image=b"x")):
        with pytest.raises(ClientError) as caught:
            ask(Service(failure).client())
        if isinstance(failure, httpx.TimeoutException):
            assert isinstance(caught.value, TimedOut)
        elif isinstance(failure, httpx.NetworkError | httpx.ProtocolError | httpx.ProxyError):
            assert isinstance(caught.value, ConnectionFailed)
        assert caught.value.__cause__ is failure
        assert str(caught.value) and "\n" not in str(caught.value)


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


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadTimeout("slow"), httpx.WriteTimeout("slow"), httpx.ReadError("cut"), httpx.RemoteProtocolError("cut")],
)
def test_what_may_have_been_computed_is_never_asked_again(failure: Exception) -> None:
    service = Service(failure, OK)
    with pytest.raises(ClientError):
        service.client(retries=5).predict(image=b"x")
    assert len(service.requests) == 1


def test_a_busy_server_is_asked_again_when_it_says(pauses: list[float]) -> None:
    service = Service(problem(503, {"Retry-After": "3"}), OK)
    assert service.client().predict(image=b"x").model == "image-text"
    assert pauses == [3.0] and len(service.requests) == 2


def test_a_busy_server_may_name_a_date(pauses: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    Service(problem(503, {"Retry-After": soon}), OK).client().predict(image=b"x")
    assert pauses == [pytest.approx(9.5, abs=1.5)]


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
    with Client("http://host", transport=httpx.MockTransport(Service(OK))) as client:
        client.predict(image=b"x")
    with pytest.raises(RuntimeError, match="closed"):
        client.models()
