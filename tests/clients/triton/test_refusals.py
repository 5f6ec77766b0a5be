"""What Triton, gRPC and our own preprocessing refuse with, as errors by type."""

import httpx
import pytest
from tritonclient.utils import InferenceServerException

from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia
from clients import errors
from clients.errors import ClientError, InvalidRequest, NotFound, UnexpectedAnswer
from clients.triton.refusals import from_grpc, from_http, from_httpx, refused


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("INVALID_ARGUMENT", "unexpected shape", errors.BadRequest),
        ("NOT_FOUND", "unknown model", NotFound),
        ("UNAUTHENTICATED", "no token", errors.Unauthorized),
        ("PERMISSION_DENIED", "no", errors.Forbidden),
        ("RESOURCE_EXHAUSTED", "too many", errors.Unavailable),
        ("UNAVAILABLE", "Exceeds maximum queue size", errors.Unavailable),
        ("UNAVAILABLE", "Request timeout expired", errors.TimeLimit),
        ("UNAVAILABLE", "failed to connect to all addresses", errors.ConnectionFailed),
        ("UNAVAILABLE", "Socket closed", errors.ConnectionFailed),
        ("CANCELLED", "Channel closed!", errors.ConnectionFailed),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", errors.TimedOut),
        ("INTERNAL", "failed", errors.ServerError),
        ("UNIMPLEMENTED", "no such method", errors.ServerError),
        (None, "cannot be read", UnexpectedAnswer),
    ],
)
def test_every_status_of_grpc_is_a_type(status: str | None, message: str, kind: type[ClientError]) -> None:
    stated = None if status is None else f"StatusCode.{status}"
    found = from_grpc(InferenceServerException(message, stated), "grpc://x", 2.0)
    assert type(found) is kind and "\n" not in str(found)


def test_every_status_of_http_is_a_type() -> None:
    for status, kind in (
        (400, errors.BadRequest),
        (404, NotFound),
        (503, errors.Unavailable),
        (500, errors.ServerError),
    ):
        found = from_http(httpx.Response(status, json={"error": "it went\nwrong"}))
        assert type(found) is kind and str(found) == f"it went wrong (HTTP {status})"
    assert type(from_http(httpx.Response(503, json={"error": "Request timeout expired"}))) is errors.TimeLimit
    assert str(from_http(httpx.Response(502, content=b"<html>"))) == "Bad Gateway (HTTP 502)"
    assert isinstance(from_httpx(httpx.ReadTimeout("x"), "http://x", 2), errors.TimedOut)
    assert isinstance(from_httpx(httpx.ConnectError("x"), "http://x", 2), errors.ConnectionFailed)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (InvalidInput("a", "b", "image"), InvalidRequest, 422),
        (UnsupportedMedia("a", "b", "image"), errors.UnsupportedMedia, 415),
        (TooLarge("a", "b", "image"), errors.TooLarge, 413),
    ],
)
def test_what_preprocessing_refuses_has_the_type_and_fields_of_the_service(
    error: InvalidInput, kind: type[errors.AnswerError], status: int
) -> None:
    found = refused(error)
    assert type(found) is kind
    problem = found.problem
    assert (problem.status, problem.field, problem.expected, problem.received) == (status, "image", "a", "b")
    assert problem.kind in ("invalid-input", "unsupported-media", "too-large")
