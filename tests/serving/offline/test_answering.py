"""Several threads decode and one infers: in order, in bounded memory, and with the fault where it belongs."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundle.answer import Prediction
from bundle.errors import InvalidInput, SelfCheckFailed
from bundle.modalities import Payload
from bundle.predictor import Arrays, Predictor
from bundle.tables.table import Row, Table
from bundle.work import Work
from serving.offline import answering
from serving.offline.answering import Answering
from serving.offline.plan import Plan, Rules
from tests.serving.offline import pairs


class Watched(Predictor):
    """A predictor whose decoding and inference a test may change."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, threads=1)
        self.decoding: Callable[[Mapping[str, Payload]], None] = lambda sample: None
        self.inferring: Callable[[Sequence[Arrays]], None] = lambda batch: None
        self.sizes: list[int] = []
        self.threads: set[str] = set()

    def prepare(self, sample: Mapping[str, Payload], work: Work | None = None) -> Arrays:
        self.threads.add(threading.current_thread().name)
        self.decoding(sample)
        return super().prepare(sample, work)

    def infer(self, batch: Sequence[Arrays], work: Work | None = None) -> list[Prediction]:
        self.sizes.append(len(batch))
        self.inferring(batch)
        return super().infer(batch, work)


@pytest.fixture
def predictor(folder: Path) -> Watched:
    return Watched(folder / "bundle")


@pytest.fixture
def plan(folder: Path) -> Plan:
    table = pairs.write(folder / "watched.csv", 100, broken=0)
    made = Plan.make(folder / "bundle", table, (), folder / "answers.csv", Rules())
    return replace(made, part=25)


def errors(answering: Answering, parts: int = 4) -> list[str | None]:
    found = [cells for _, rows in answering.parts(range(parts)) for _, cells in rows]
    return [cells["error_kind"] for cells in found]


def test_rows_stay_in_order_whichever_thread_is_late(plan: Plan, predictor: Watched) -> None:
    slow = iter([0.05, 0.0, 0.03] + [0.0] * 97)
    predictor.decoding = lambda sample: time.sleep(next(slow))
    found = list(Answering(plan, predictor, batch=4, threads=3).parts([2, 0]))
    assert [number for number, _ in found] == [2, 0]
    assert [row.index for _, rows in found for row, _ in rows] == [*range(50, 75), *range(25)]
    assert all(cells["error_kind"] is None for _, rows in found for _, cells in rows)
    assert len(predictor.threads) == 3 and all(name.startswith("decode") for name in predictor.threads)


def test_batches_depend_on_the_rows_of_their_part_alone(plan: Plan, predictor: Watched) -> None:
    list(Answering(plan, predictor, batch=4, threads=1).parts([1]))
    alone, predictor.sizes = predictor.sizes, []
    list(Answering(plan, predictor, batch=4, threads=3).parts([0, 1]))
    assert predictor.sizes[-len(alone) :] == alone and sum(alone) == 25 and max(alone) == 4


def test_no_more_rows_are_read_than_the_decoders_need(
    plan: Plan, predictor: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = inferred = most = 0
    part = Table.part

    def counted(table: Table, start: int, stop: int) -> Iterator[Row]:
        nonlocal read, most
        for row in part(table, start, stop):
            read += 1
            most = max(most, read - inferred)
            yield row

    def note(batch: Sequence[Arrays]) -> None:
        nonlocal inferred
        inferred += len(batch)

    monkeypatch.setattr(Table, "part", counted)
    predictor.inferring = note
    list(Answering(plan, predictor, batch=4, threads=2).parts(range(4)))
    lengths = 4  # of texts, or none
    assert read == inferred == 100 and most <= 2 * (4 + 2) + lengths * 4 + 1


def test_what_a_decoder_did_not_foresee_is_that_rows_error(plan: Plan, predictor: Watched) -> None:
    def fail(sample: Mapping[str, Payload]) -> None:
        if sample.get("text") == "red":
            raise MemoryError

    predictor.decoding = fail
    found = [cells for _, rows in Answering(plan, predictor, 4, 2).parts([0]) for _, cells in rows]
    kinds = [cells["error_kind"] for cells in found]
    assert kinds == ["internal-error" if number % 4 == 3 and number % 11 != 7 else None for number in range(25)]
    assert found[3]["error_detail"] == "the row cannot be decoded (MemoryError)"


@pytest.mark.parametrize("error", [InvalidInput("a", "b"), RuntimeError("secret")])
def test_a_sample_that_the_graph_fails_on_fails_alone(plan: Plan, predictor: Watched, error: Exception) -> None:
    poison = predictor.prepare({"text": "red"})["text"].tobytes()

    def fail(batch: Sequence[Arrays]) -> None:
        if any("text" in arrays and arrays["text"].tobytes() == poison for arrays in batch):
            raise error

    predictor.inferring = fail
    found = [cells for _, rows in Answering(plan, predictor, 4, 2).parts([0]) for _, cells in rows]
    kind = "invalid-input" if isinstance(error, InvalidInput) else "internal-error"
    expected = [kind if number % 4 == 3 and number % 11 != 7 else None for number in range(25)]
    assert [cells["error_kind"] for cells in found] == expected
    assert "secret" not in str(found)


def test_a_graph_that_fails_on_everything_ends_the_run(
    plan: Plan, predictor: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError

    def check(predictor: Predictor) -> int:
        raise SelfCheckFailed("not reproduced")

    predictor.inferring = fail
    monkeypatch.setattr(answering, "selfcheck", check)
    with pytest.raises(SelfCheckFailed):
        errors(Answering(plan, predictor, 4, 2))
