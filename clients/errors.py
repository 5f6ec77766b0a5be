"""Everything that a client can raise.

ClientError
├── InvalidCall             an address that is none, a value of no use, a file that cannot be read or changed meanwhile
├── ConnectionFailed        no answer: nobody listens there, or the connection broke
├── TimedOut                no answer within the time allowed; the server may still be working
├── UnexpectedAnswer        an answer that is not of this service
└── AnswerError             the server refused or failed, and said why: see `problem`
    ├── BadRequest          400  the request could not be read
    ├── Unauthorized        401  no key, or one the server does not know
    ├── Forbidden           403  a key that does not allow this
    ├── NotFound            404  no such model or path
    ├── TooLarge            413  over a limit of the server
    ├── UnsupportedMedia    415  a file of a format that its modality does not read
    ├── InvalidRequest      422  a field at fault: `field`, `expected`, `received`
    ├── Unavailable         429, 503  try again after `retry_after` seconds
    └── ServerError         5xx  the server failed
        └── TimeLimit       504  the server, or the proxy before it, gave up waiting
"""

from dataclasses import dataclass

NAMESPACE = "urn:infobridge:problem:"
"""What the service's own kinds of problem begin with."""


class ClientError(Exception):
    """The root: catch this to catch everything the clients raise on purpose."""


class InvalidCall(ClientError):
    """What was asked cannot be sent: found before any request, or by a file that changed while it was being sent."""


class ConnectionFailed(ClientError):
    """There is no answer: the server cannot be reached, or the connection broke."""


class TimedOut(ClientError):
    """There is no answer within the time allowed. A prediction may still be running on the server."""


class UnexpectedAnswer(ClientError):
    """The answer is not one of this service: another server, or another version of it."""


@dataclass(frozen=True)
class Problem:
    """What the server says about a failure (RFC 9457), as far as it says it."""

    status: int
    """HTTP status."""
    detail: str
    """What is wrong, in one line."""
    type: str = "about:blank"
    """A stable name of the kind of problem."""
    title: str = ""
    field: str | None = None
    """The field at fault."""
    expected: str | None = None
    """What would have been accepted."""
    received: str | None = None
    """What came instead, in words."""
    possible: tuple[str, ...] = ()
    """What could have been chosen: names of models, or pairings of fields."""
    retry_after: float | None = None
    """Seconds after which the server asks to be tried again."""
    request_id: str | None = None
    """What the server's log calls the request."""

    @property
    def kind(self) -> str:
        """The kind in one word, such as `too-large`; empty where the server names none."""
        return self.type.removeprefix(NAMESPACE) if self.type.startswith(NAMESPACE) else ""


class AnswerError(ClientError):
    """The server answered with an error."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem)

    def __str__(self) -> str:
        """One line: `what is wrong (HTTP status); possible are …`."""
        possible = f"; possible are {', '.join(self.problem.possible)}" if self.problem.possible else ""
        return f"{self.problem.detail} (HTTP {self.problem.status}){possible}"


class BadRequest(AnswerError):
    """400: the request could not be read."""


class Unauthorized(AnswerError):
    """401: the server asks for a key, and none or an unknown one was sent."""


class Forbidden(AnswerError):
    """403: the key is known, but does not allow this."""


class NotFound(AnswerError):
    """404: no such model or path; the problem's `possible` are the models there are."""


class TooLarge(AnswerError):
    """413: the request or a payload is over a limit."""


class UnsupportedMedia(AnswerError):
    """415: a payload's format is not one its modality reads."""


class InvalidRequest(AnswerError):
    """422: a field is missing, unknown or cannot be used."""

    @property
    def field(self) -> str | None:
        """The field at fault, if the server knows it."""
        return self.problem.field

    @property
    def expected(self) -> str | None:
        """What would have been accepted."""
        return self.problem.expected

    @property
    def received(self) -> str | None:
        """What came instead, in words."""
        return self.problem.received


class Unavailable(AnswerError):
    """429 or 503: the server is busy or not ready."""

    @property
    def retry_after(self) -> float | None:
        """Seconds after which to try again, if the server says so."""
        return self.problem.retry_after


class ServerError(AnswerError):
    """5xx: the server failed; its log says more."""


class TimeLimit(ServerError):
    """504: the time allowed on the server's side was over; the same request may be too slow again."""


BY_STATUS: dict[int, type[AnswerError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
    415: UnsupportedMedia,
    422: InvalidRequest,
    429: Unavailable,
    503: Unavailable,
    504: TimeLimit,
}


def answer_error(problem: Problem) -> AnswerError:
    """The error of the problem's status."""
    kind = BY_STATUS.get(problem.status, ServerError if problem.status >= 500 else AnswerError)
    return kind(problem)
