"""When a request is made again, and after how long: pure, so that it is tested without waiting."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from clients.errors import ConnectionFailed, InvalidCall, TimedOut, Unavailable
from clients.problems import seconds

BUSY = (429, 503)
"""Asked again where the server says when to come back."""
BROKEN = 502
"""What a proxy answers when the service behind it broke off."""


@dataclass(frozen=True)
class Retries:
    """How often and how patiently.

    A prediction is a pure function of what is sent, so it may be asked for twice: every broken connection is tried
    again, one that broke while the answer was awaited included (a worker that was killed). A timeout is not, unless
    asked: the server may still be computing, and would compute twice.

    Raises:
        InvalidCall: a number is out of range.
    """

    number: int = 2
    """Further attempts after the first."""
    timeouts: bool = False
    """Whether an answer that did not come in time is asked for again."""
    first_pause: float = 0.2
    """Seconds that the first pause is at most; each further one may be twice as long."""
    longest_pause: float = 30.0
    """Seconds; a server that asks for more is reported, not waited for."""
    random: Callable[[], float] = random.random
    """From 0 to 1, at random: pauses are spread over their whole length, so that clients do not come back together."""

    def __post_init__(self) -> None:
        if self.number < 0:
            raise InvalidCall(f"retries: expected 0 or more, found {self.number!r}")
        if not 0 <= self.first_pause <= self.longest_pause:
            raise InvalidCall(
                f"retries: expected a first pause from 0 to the longest one, found {self.first_pause!r} "
                f"and {self.longest_pause!r}"
            )

    def pause(self, attempt: int, outcome: httpx.Response | Exception) -> float | None:
        """Seconds until the next attempt, or None where there is none.

        Args:
            attempt: which one ended, from 0.
            outcome: how it ended; not a success.
        """
        least = self._least(outcome)
        if attempt >= self.number or least is None or least > self.longest_pause:
            return None
        spread = self.first_pause * 2.0 ** min(attempt, 60) * self.random()
        return max(least, min(least + spread, self.longest_pause))

    def _least(self, outcome: httpx.Response | Exception) -> float | None:
        """Seconds that the server asks to be left alone; None where another attempt is of no use or no harm is sure."""
        match outcome:
            case httpx.Response(status_code=status) if status in BUSY:
                return seconds(outcome.headers.get("Retry-After"))
            case httpx.Response(status_code=status) if status == BROKEN:
                return 0.0
            case httpx.NetworkError() | httpx.RemoteProtocolError() | httpx.ConnectTimeout():
                return 0.0
            case httpx.ReadTimeout() | httpx.WriteTimeout() if self.timeouts:
                return 0.0
            case ConnectionFailed():
                return 0.0
            case Unavailable():
                return 0.0 if outcome.retry_after is None else outcome.retry_after
            case TimedOut() if self.timeouts:
                return 0.0
        return None
