"""The load generator counts what really happened, against a real server."""

import math

import pytest

from benchmarks.call import Call, Figures, Target
from benchmarks.load import closed_loop, open_loop
from tests.benchmarks.answering import CALL, NEARLY, OTHER, RIGHT, Reply, answering
from tests.benchmarks.windows import widened


def test_percentiles_are_latencies_that_occurred() -> None:
    figures = Figures(2.0, [number / 1000 for number in range(100, 0, -1)])
    assert figures.rate == 50.0
    assert [figures.percentile(share) for share in (0.01, 0.5, 0.99, 1.0)] == pytest.approx([1.0, 50.0, 99.0, 100.0])
    assert Figures(1.0, [0.003]).percentile(0.99) == pytest.approx(3.0)
    assert math.isnan(Figures(1.0).percentile(0.5))


def test_no_other_machine_is_asked() -> None:
    with pytest.raises(ValueError, match="loopback"):
        Target(80, "/", "192.0.2.1")


def test_an_answer_is_right_only_with_its_own_class_and_probability() -> None:
    assert CALL.answered_by(RIGHT)
    assert CALL.answered_by(RIGHT.replace(b": ", b":").replace(b", ", b","))
    assert not CALL.answered_by(OTHER)
    assert not CALL.answered_by(NEARLY), "some other sample's answer"
    assert not CALL.answered_by(b"{}")


def test_a_closed_loop_is_never_faster_than_the_server_and_sends_the_bodies_in_turn() -> None:
    seconds, connections = 0.02, 3
    calls = [Call("text/plain", name, "circle", 0.75) for name in (b"one", b"two", b"three", b"four")]

    def measure(window: float) -> Figures:
        server.bodies.clear()
        return closed_loop(server.target, calls, connections, window, warmup=0.1)

    with answering(lambda number: Reply(seconds=seconds)) as server:
        figures = widened(measure, lambda figures: figures.latencies != [], 0.6)
    assert figures.answered == len(server.bodies)
    assert 0 < len(figures.latencies) <= figures.answered
    assert figures.rate <= connections / seconds + connections / figures.seconds
    assert min(figures.latencies) >= seconds
    assert (figures.errors, figures.mismatches) == (0, 0)
    counts = {call.body: server.bodies.count(call.body) for call in calls}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_every_wrong_answer_is_counted_for_what_it_is() -> None:
    replies = (Reply(), Reply(status=500), Reply(OTHER), Reply(close=True), Reply(vanish=True), Reply(NEARLY))

    def measure(window: float) -> tuple[Figures, int]:
        with answering(lambda number: replies[number % len(replies)]) as server:
            return closed_loop(server.target, [CALL], 2, window, warmup=0.0), len(server.bodies)

    figures, count = widened(measure, lambda found: found[1] > 2 * len(replies), 0.4)
    sent = [sum(number % len(replies) == kind for number in range(count)) for kind in range(len(replies))]
    assert count > 2 * len(replies), "it goes on after errors"
    assert figures.refusals.pop("500") == sent[1]
    assert figures.mismatches == sent[2] + sent[5]
    assert sum(figures.refusals.values()) == sent[4], "connections that vanished"
    assert figures.errors == sent[1] + sent[4]
    assert figures.answered == count - sent[4]


@pytest.mark.parametrize("even", [True, False])
def test_an_open_loop_sends_what_is_due_and_no_more(even: bool) -> None:
    def measure(window: float) -> Figures:
        server.bodies.clear()
        return open_loop(server.target, [CALL], 100, window, even=even, connections=4, warmup=0.2)

    with answering(lambda number: Reply()) as server:
        figures = widened(measure, lambda figures: figures.answered >= 60 * (figures.seconds + 0.2), 0.8)
    assert figures.errors == figures.mismatches == 0
    assert figures.answered == len(server.bodies)
    if even:
        assert 60 <= figures.answered / (figures.seconds + 0.2) <= 101
        assert len(figures.latencies) <= 100 * figures.seconds + 1, "what was due in the warm-up does not count"


def test_a_stall_counts_for_all_that_were_due_meanwhile() -> None:
    stall = 0.3

    def measure(window: float) -> Figures:
        with answering(lambda number: Reply(seconds=stall if number == 0 else 0.0)) as server:
            return open_loop(server.target, [CALL], 50, window, connections=1, warmup=0.0)

    def late(figures: Figures) -> bool:
        return sum(latency >= stall / 2 for latency in figures.latencies) >= 7

    figures = widened(measure, late, 0.5)
    assert late(figures), "one was due every 20 ms of the first half of the stall"
    assert figures.errors == 0


def test_a_server_that_is_not_there_is_an_error_and_no_hang() -> None:
    with answering(lambda number: Reply()) as server:
        target = server.target
    figures = closed_loop(target, [CALL], 1, 0.2, warmup=0.0)
    assert figures.latencies == []
    assert figures.errors >= 1
