"""Every error as problem details (RFC 9457): one table of kinds, one way to raise, one way to answer."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from http.client import responses
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia, WorkCancelled
from serving.schema import Problem

MEDIA_TYPE = "application/problem+json"
NAMESPACE = "urn:infobridge:problem:"
KINDS = {
    "malformed-body": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown-path": 404,
    "unknown-model": 404,
    "unknown-example": 404,
    "wrong-method": 405,
    "reload-refused": 409,
    "head-too-slow": 408,
    "too-large": 413,
    "unsupported-content-type": 415,
    "unsupported-media": 415,
    "invalid-input": 422,
    "ambiguous-model": 422,
    "unknown-pairing": 422,
    "head-too-large": 431,
    "internal-error": 500,
    "overloaded": 503,
    "not-ready": 503,
    "too-slow": 504,
}
"""The kinds of problem, and the HTTP status of each."""

HEADERS = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},
    "overloaded": {"Retry-After": "1"},
    "not-ready": {"Retry-After": "5"},
    "too-slow": {"Connection": "close"},
}
"""What a kind of problem adds to the answer; a request that came too slowly may still be arriving."""

BY_STATUS = {
    404: ("unknown-path", "there is no such path; /v1/openapi.json lists those there are"),
    405: ("wrong-method", "this path does not take this method"),
    503: ("not-ready", "the bundles are not loaded; the server's log says more"),
}


class ProblemError(Exception):
    """An answer that is a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        self.problem = problem
        self.headers = {**HEADERS.get(problem.type.removeprefix(NAMESPACE), {}), **(headers or {})}
        """Further headers of the answer."""
        super().__init__(problem.detail)


def title_of(kind: str) -> str:
    """A kind of problem in words."""
    return kind.replace("-", " ").capitalize()


def problem(kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **known: Any) -> ProblemError:
    """A problem of one of `KINDS`; `known` are further fields of `Problem`."""
    return ProblemError(Problem(NAMESPACE + kind, title_of(kind), KINDS[kind], detail, **known), headers)


def from_status(status: int, headers: Mapping[str, str] | None = None) -> ProblemError:
    """The problem behind a bare HTTP status, as frameworks raise it."""
    if status in BY_STATUS:
        kind, detail = BY_STATUS[status]
        return problem(kind, detail, headers=headers)
    phrase = responses.get(status, "Error")
    return ProblemError(Problem("about:blank", phrase, status, phrase), headers)


def from_error(error: Exception) -> ProblemError:
    """The problem that an exception stands for; what we did not foresee is an internal error without details."""
    match error:
        case ProblemError():
            return error
        case InvalidInput():
            kind = "invalid-input"
            if isinstance(error, UnsupportedMedia):
                kind = "unsupported-media"
            elif isinstance(error, TooLarge):
                kind = "too-large"
            return problem(kind, str(error), field=error.field, expected=error.expected, received=error.received)
        case HTTPException():
            return from_status(error.status_code, error.headers)
        case TimeoutError() | WorkCancelled():
            return problem("too-slow", "the request was not answered in time; its work was dropped")
    return problem("internal-error", "the model failed on this input; the server's log names the error")


def kind_of(error: ProblemError) -> str:
    """The name of the problem's kind, as in `KINDS`, or its status where it has none."""
    kind = error.problem.type.removeprefix(NAMESPACE)
    return kind if kind in KINDS else str(error.problem.status)


def to_json(problem: Problem) -> dict[str, Any]:
    """The problem as JSON values; fields that are not known are left out."""
    return {name: value for name, value in asdict(problem).items() if value is not None}


def to_response(error: ProblemError) -> Response:
    """The HTTP answer."""
    return Response(json.dumps(to_json(error.problem)), error.problem.status, error.headers, MEDIA_TYPE)


def answer(request: Request, error: Exception) -> Response:
    """An exception handler for Starlette."""
    del request
    return to_response(from_error(error))
