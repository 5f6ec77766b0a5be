"""The HTTP client of a running service: `Client(url).predict(image=Path("a.jpg"), text="…")`."""

import json
import time
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx

from bundle.checking import one_line
from clients.answer import Answer, Model, Models, parse
from clients.errors import ClientError, ConnectionFailed, InvalidCall, Problem, TimedOut, UnexpectedAnswer, answer_error
from clients.payloads import Part, Payload, parts

LONGEST_PAUSE = 30.0
"""Seconds; a server that asks for more is reported, not waited for."""
FIRST_PAUSE = 0.2
"""Seconds before the first new attempt to connect; each further one waits twice as long."""
CONNECT_SECONDS = 10.0


class Client:
    """Asks one service for predictions. A context manager; safe to use from several threads.

    Args:
        url: address of the service, such as `http://localhost:3000`.
        timeout: seconds that connecting, sending, and waiting for the answer may each take.
        retries: further attempts where nothing can have been computed: nobody accepted the connection, or the server
            answered 503 and said when to come back. After a timeout there is none.
        transport: instead of the network, for tests.

    Raises:
        InvalidCall: `url` is no HTTP address, or a number is out of range.
    """

    def __init__(
        self, url: str, timeout: float = 60.0, retries: int = 2, transport: httpx.BaseTransport | None = None
    ) -> None:
        if not timeout > 0:
            raise InvalidCall(f"timeout: expected seconds over 0, found {timeout!r}")
        if retries < 0:
            raise InvalidCall(f"retries: expected 0 or more, found {retries!r}")
        self._base = _checked_address(url)
        self._timeout, self._retries = timeout, retries
        limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        self._http = httpx.Client(timeout=limits, transport=transport, headers={"Accept": "application/json"})

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def predict(self, *, model: str | None = None, **payloads: Payload) -> Answer:
        """The prediction for one sample.

        Args:
            model: name of the model; None leaves the choice to the server, by the set of inputs.
            payloads: one for each input of the model, by its name, such as `audio=Path("a.wav")`; see
                `clients.payloads.Payload`.

        Raises:
            InvalidCall: before anything is sent.
            ClientError: one of the tree in `clients.errors`.
        """
        answer = parse(Answer, self._send("POST", "/v1/predict", parts(payloads, model)))
        if not answer.predictions:
            raise UnexpectedAnswer("expected a probability for every class, received none")
        return answer

    def models(self) -> tuple[Model, ...]:
        """Every model the service offers.

        Raises:
            ClientError: one of the tree in `clients.errors`.
        """
        return parse(Models, self._send("GET", "/v1/models")).models

    def _send(self, method: str, path: str, files: list[tuple[str, Part]] | None = None) -> bytes:
        """The content of a successful answer, after as many attempts as are safe."""
        for attempt in range(self._retries + 1):
            try:
                response = self._http.request(method, self._base + path, files=files)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt == self._retries:
                    raise self._translated(error) from error
                time.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
                continue
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict) as error:
                raise self._translated(error) from error
            if response.is_success:
                return response.content
            problem = read_problem(response)
            pause = problem.retry_after
            if response.status_code != 503 or pause is None or pause > LONGEST_PAUSE or attempt == self._retries:
                raise answer_error(problem)
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _translated(self, error: Exception) -> ClientError:
        reason = one_line(error) or type(error).__name__
        match error:
            case httpx.TimeoutException():
                return TimedOut(
                    f"no answer from {self._base} within {self._timeout:g} seconds ({type(error).__name__})"
                )
            case httpx.DecodingError() | httpx.TooManyRedirects():
                return UnexpectedAnswer(
                    f"expected an answer of the service, {self._base} sends something else ({reason})"
                )
            case _:
                return ConnectionFailed(f"{self._base} does not answer: {reason}")


def _checked_address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidCall(f"url: expected an address such as http://localhost:3000, found {url!r} ({error})") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidCall(f"url: expected an address such as http://localhost:3000, found {url!r}")
    return str(parsed).rstrip("/")


def read_problem(response: httpx.Response) -> Problem:
    """What an error's answer says; whoever sent it, at least its status."""
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError):
        content = None
    fields: dict[str, Any] = content if isinstance(content, dict) else {}
    known = {name: one_line(fields[name]) for name in ("type", "title") if isinstance(fields.get(name), str)}
    named = {
        name: one_line(fields[name]) for name in ("field", "expected", "received") if isinstance(fields.get(name), str)
    }
    possible = fields.get("possible")
    return Problem(
        response.status_code,
        one_line(fields.get("detail") or fields.get("error") or response.reason_phrase or "an error without a reason"),
        possible=tuple(map(one_line, possible)) if isinstance(possible, list) else (),
        retry_after=_seconds(response.headers.get("Retry-After")),
        **known,
        **named,
    )


def _seconds(header: str | None) -> float | None:
    """Retry-After, which is a number of seconds or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
