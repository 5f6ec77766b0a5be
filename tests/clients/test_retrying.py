"""When and after how long a request is made again: by the table, without a client."""

import httpx
import pytest

from clients.errors import InvalidCall
from clients.retrying import Retries

REFUSED = httpx.ConnectError("refused")


def busy(after: str | None, status: int = 503) -> httpx.Response:
    return httpx.Response(status, headers={} if after is None else {"Retry-After": after})


def test_pauses_double_until_the_longest() -> None:
    retries = Retries(10, longest_pause=5.0, random=lambda: 1.0)
    assert [retries.pause(attempt, REFUSED) for attempt in range(6)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert Retries(10_000, random=lambda: 1.0).pause(9_999, REFUSED) == 30.0


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_a_pause_is_spread_from_nothing_to_its_whole_length(chance: float) -> None:
    assert Retries(5, random=lambda: chance).pause(3, REFUSED) == pytest.approx(1.6 * chance)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_nobody_comes_back_before_the_server_asks(chance: float) -> None:
    retries = Retries(5, longest_pause=8.0, random=lambda: chance)
    assert retries.pause(0, busy("3")) == pytest.approx(3 + 0.2 * chance)
    assert retries.pause(4, busy("7")) == pytest.approx(min(7 + 3.2 * chance, 8.0))
    assert retries.pause(4, busy("8")) == 8.0
    assert retries.pause(0, busy("9")) is None


@pytest.mark.parametrize("after", ["Thu, 01 Jan 1970 00:00:00 GMT", "0"])
def test_a_time_that_is_over_asks_for_nothing(after: str) -> None:
    assert Retries(1, random=lambda: 0.0).pause(0, busy(after)) == 0.0


def test_the_number_of_attempts_is_bounded() -> None:
    assert Retries(2).pause(1, busy("1")) is not None
    assert Retries(2).pause(2, busy("1")) is None
    assert Retries(0).pause(0, REFUSED) is None


@pytest.mark.parametrize(
    "outcome",
    [
        busy(None),
        busy("soon"),
        busy("1", status=500),
        busy("1", status=504),
        busy("1", status=413),
        httpx.ReadTimeout("slow"),
        httpx.LocalProtocolError("ours"),
        httpx.ProxyError("proxy"),
        httpx.DecodingError("other"),
        InvalidCall("changed"),
    ],
)
def test_what_does_not_help_or_may_do_harm_is_not_tried(outcome: httpx.Response | Exception) -> None:
    assert Retries(5).pause(0, outcome) is None


@pytest.mark.parametrize(("first", "longest"), [(-0.1, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.2, float("nan"))])
def test_pauses_that_are_none_are_refused(first: float, longest: float) -> None:
    with pytest.raises(InvalidCall, match=r"^retries: expected a first pause from 0 to the longest"):
        Retries(first_pause=first, longest_pause=longest)
