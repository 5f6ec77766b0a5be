"""What a Triton server, gRPC or our own preprocessing refuses with, as the clients' errors."""

import json
import re

import httpx
from tritonclient.utils import InferenceServerException

from bundle.checking import one_line
from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia
from clients.errors import (
    NAMESPACE,
    AnswerError,
    ClientError,
    ConnectionFailed,
    Problem,
    TimedOut,
    UnexpectedAnswer,
    answer_error,
)

STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
"""HTTP's statuses for those of gRPC; 500 for all others."""
WAITED = "Request timeout expired"
"""What Triton says of a request that waited in its queue for longer than it may."""
BROKEN = re.compile(
    r"connect|socket|dns|goaway|recvmsg|sendmsg|broken pipe|endpoint|keepalive|transport|rst_stream", re.IGNORECASE
)
"""In what gRPC itself says where there is no server, or none any more; its status is that of a busy server too."""


def refused(error: InvalidInput) -> AnswerError:
    """A payload that cannot be used, as the service would have answered: the same type, with the same fields."""
    kind, status = "invalid-input", 422
    if isinstance(error, UnsupportedMedia):
        kind, status = "unsupported-media", 415
    elif isinstance(error, TooLarge):
        kind, status = "too-large", 413
    title = kind.replace("-", " ").capitalize()
    return answer_error(
        Problem(status, str(error), NAMESPACE + kind, title, error.field, error.expected, error.received)
    )


def from_http(response: httpx.Response) -> AnswerError:
    """An answer that is no success."""
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError):
        content = None
    stated = content.get("error") if isinstance(content, dict) else None
    return _stated(response.status_code, str(stated or response.reason_phrase or "an error without a reason"))


def from_httpx(error: Exception, address: str, timeout: float) -> ClientError:
    """A request without an answer."""
    reason = one_line(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"no answer from {address} within {timeout:g} seconds ({type(error).__name__})")
    return ConnectionFailed(f"{address} does not answer: {reason}")


def closed(address: str) -> ConnectionFailed:
    """A request of a client that was closed."""
    return ConnectionFailed(f"{address} is not asked: this client was closed")


def from_grpc(error: InferenceServerException, address: str, timeout: float) -> ClientError:
    """Whatever tritonclient raises over gRPC."""
    status = str(error.status() or "").removeprefix("StatusCode.")
    message = one_line(error.message() or status)
    if status == "DEADLINE_EXCEEDED":
        return TimedOut(f"no answer from {address} within {timeout:g} seconds")
    if status == "CANCELLED" or (status == "UNAVAILABLE" and WAITED not in message and BROKEN.search(message)):
        return ConnectionFailed(f"{address} does not answer: {message}")
    if not status:
        return UnexpectedAnswer(f"expected an answer of Triton, {address} sends something else ({message})")
    return _stated(STATUS.get(status, 500), message)


def _stated(status: int, message: str) -> AnswerError:
    return answer_error(Problem(504 if WAITED in message else status, one_line(message)))
