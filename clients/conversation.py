"""What is said to the server and when, without saying it: generators that a client drives, waiting or awaiting."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from bundle.checking import one_line
from clients.errors import ClientError, ConnectionFailed, TimedOut, UnexpectedAnswer, answer_error
from clients.payloads import Parts
from clients.problems import read_problem
from clients.retrying import Retries
from clients.upload import Upload

FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, ClientError)
"""Whatever sending a `Call` may raise; a client hands it to the conversation instead of an answer."""


@dataclass(frozen=True)
class Call:
    """A request to be sent now; the conversation goes on with its answer, read to the end, or with its failure."""

    method: str
    path: str
    parts: Parts = field(default_factory=list)

    @property
    def uploads(self) -> list[Upload]:
        """The parts that are read from the disk while they are sent."""
        return [content for _, (_, content) in self.parts if isinstance(content, Upload)]


@dataclass(frozen=True)
class Pause:
    """Seconds to do nothing; the conversation goes on with None."""

    seconds: float


Outcome = httpx.Response | Exception | None
Value = TypeVar("Value")
Conversation = Generator[Call | Pause, Outcome, Value]


@dataclass(frozen=True)
class Manners:
    """How one server is asked."""

    address: str
    timeout: float
    retries: Retries

    def ask(self, call: Call) -> Conversation[httpx.Response]:
        """The successful answer, after as many attempts as are allowed.

        Raises:
            ClientError: there is none.
        """
        attempt = 0
        while True:
            outcome = yield call
            for upload in call.uploads:
                upload.close()
            assert outcome is not None
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return outcome
            pause = self.retries.pause(attempt, outcome)
            if pause is None:
                error = self._error(outcome)
                if isinstance(outcome, Exception) and error is not outcome:
                    raise error from outcome
                raise error
            yield Pause(pause)
            attempt += 1

    def _error(self, outcome: httpx.Response | Exception) -> ClientError:
        if isinstance(outcome, httpx.Response):
            return answer_error(read_problem(outcome))
        reason = one_line(outcome) or type(outcome).__name__
        match outcome:
            case ClientError():
                return outcome
            case httpx.TimeoutException():
                return TimedOut(
                    f"no answer from {self.address} within {self.timeout:g} seconds ({type(outcome).__name__})"
                )
            case httpx.DecodingError() | httpx.TooManyRedirects():
                return UnexpectedAnswer(
                    f"expected an answer of the service, {self.address} sends something else ({reason})"
                )
        return ConnectionFailed(f"{self.address} does not answer: {reason}")
