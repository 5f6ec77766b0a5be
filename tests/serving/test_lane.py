"""The two ways to the graph: same answers, work that is really dropped, a queue with an end."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from bundle.answer import Prediction
from bundle.errors import InvalidInput
from bundle.modalities import Payload
from bundle.predictor import Arrays, Predictor
from bundle.work import Work
from serving.batcher import QueueFull
from serving.lane import Answered, Batched, Direct, Lane
from serving.metrics import Histogram
from serving.settings import Settings
from tests.bundles import build_bundle

PATIENCE = 30.0
GOOD: dict[str, Payload] = {"text": "red house", "genomics": {"gene_A": 1.0}}
KINDS = ("direct", "batched")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("lane") / "tiny", ("text", "genomics"))


class Gated(Predictor):
    """Waits before it decodes or infers until it is let through; remembers what it was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, threads=1)
        self.entered, self.open = threading.Event(), threading.Event()
        self.prepared: list[Work] = []
        self.sizes: list[int] = []

    def prepare(self, sample: Mapping[str, Payload], work: Work | None = None) -> Arrays:
        if work is not None:  # otherwise it calls itself
            self.prepared.append(work)
            self.entered.set()
            assert self.open.wait(PATIENCE)
        return super().prepare(sample, work)

    def infer(self, batch: Sequence[Arrays], work: Work | None = None) -> list[Prediction]:
        self.sizes.append(len(batch))
        return super().infer(batch, work)


Body = Callable[[Lane, Gated], Awaitable[None]]


def run(
    folder: Path, kind: str, body: Body, queue_length: int = 8, batch_wait_ms: float = 50
) -> tuple[Gated, Histogram]:
    predictor, sizes = Gated(folder), Histogram((1, 2, 4))

    async def main() -> None:
        settings = Settings(decode_threads=1, queue_length=queue_length, batch_wait_ms=batch_wait_ms)
        with ThreadPoolExecutor(1) as threads:
            lane: Lane
            if kind == "direct":
                lane = Direct(predictor, (threads, 1), queue_length, sizes)
            else:
                lane = Batched(predictor, threads, settings, 4, sizes)
            try:
                async with asyncio.timeout(PATIENCE):
                    await body(lane, predictor)
            finally:
                predictor.open.set()
                await lane.close()

    asyncio.run(main())
    return predictor, sizes


def ask(lane: Lane, sample: dict[str, Payload] = GOOD, work: Work | None = None) -> "asyncio.Task[Answered]":
    return asyncio.create_task(lane.run(sample, work or Work()))


async def entered(predictor: Gated) -> None:
    assert await asyncio.to_thread(predictor.entered.wait, PATIENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_predictor(folder: Path, kind: str) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        predictor.open.set()
        samples: list[dict[str, Payload]] = [{**GOOD, "genomics": {"gene_A": float(number)}} for number in range(6)]
        found = await asyncio.gather(*(ask(lane, sample) for sample in samples))
        for answered, sample in zip(found, samples, strict=True):
            [expected] = Predictor(folder).predict([sample])
            assert answered.prediction.predictions[0].probability == pytest.approx(
                expected.predictions[0].probability, abs=1e-6
            )
            assert min(answered.decode, answered.queue, answered.infer) >= 0
        assert lane.waiting == 0 and lane.delay() == 0

    predictor, sizes = run(folder, kind, body)
    counted, total = sizes.buckets()
    assert total == 6 == sum(predictor.sizes) and counted[-1][1] == len(predictor.sizes)
    assert (max(predictor.sizes) > 1) is (kind == "batched")


LACKING: list[dict[str, Payload]] = [
    {"genomics": {"gene_A": 2.0}},
    {"text": "red house green river", "genomics": {"gene_A": -1.0}},
    {"text": "green house red river"},
    {"genomics": {"gene_B": 3.0}},
]


def test_samples_with_and_without_an_input_share_one_inference(folder: Path) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        predictor.open.set()
        found = await asyncio.gather(*(ask(lane, sample) for sample in LACKING))
        for answered, sample in zip(found, LACKING, strict=True):
            [expected] = Predictor(folder).predict([sample])
            prediction = answered.prediction
            assert prediction.missing == expected.missing == tuple({"text", "genomics"} - set(sample))
            assert prediction.predictions[0].label == expected.predictions[0].label
            one, other = (asdict(each) for each in (prediction, expected))
            for numbers in (one, other):
                numbers["predictions"] = [entry["probability"] for entry in numbers["predictions"]]
                numbers["modalities"] = [own["contribution"] for own in numbers["modalities"].values()]
            for name in ("predictions", "modalities", "baseline"):
                assert one[name] == pytest.approx(other[name], abs=1e-6)

    predictor, _ = run(folder, "batched", body, batch_wait_ms=5000)
    assert predictor.sizes == [len(LACKING)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_of_no_use_is_the_caller_s_error(folder: Path, kind: str) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        predictor.open.set()
        good, bad = ask(lane), ask(lane, {**GOOD, "text": " "})
        await asyncio.wait({good, bad})
        assert isinstance(bad.exception(), InvalidInput)
        assert good.result().prediction.model == "text-genomics"

    run(folder, kind, body)


@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_is_dropped_when_nobody_wants_it_any_more(folder: Path, kind: str) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        first = ask(lane)
        await entered(predictor)
        second, third = ask(lane), ask(lane)
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        predictor.open.set()
        await asyncio.gather(first, third)
        assert lane.waiting == 0

    predictor, _ = run(folder, kind, body)
    assert len(predictor.prepared) == 2 and sum(predictor.sizes) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_runs_is_ended_when_nobody_wants_it_any_more(folder: Path, kind: str) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        work = Work()
        running = ask(lane, work=work)
        await entered(predictor)
        running.cancel()
        await asyncio.wait({running})
        assert work.cancelled
        predictor.open.set()
        assert (await ask(lane)).prediction.model == "text-genomics"

    predictor, _ = run(folder, kind, body)
    assert sum(predictor.sizes) == 1  # the cancelled one never came to the graph


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_queue_is_refused_and_room_is_found_again(folder: Path, kind: str) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        first = ask(lane)
        await entered(predictor)
        waiting = [ask(lane) for _ in range(3)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        refused = [task for task in waiting if task.done()]
        assert len(refused) == 1 and isinstance(refused[0].exception(), QueueFull)
        assert lane.waiting == 2
        kept = [task for task in waiting if not task.done()]
        kept[0].cancel()
        await asyncio.wait({kept[0]})
        late = ask(lane)
        await asyncio.sleep(0)
        predictor.open.set()
        await asyncio.gather(first, kept[1], late)

    run(folder, kind, body, queue_length=2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_delay_grows_with_the_queue(folder: Path, kind: str) -> None:
    async def body(lane: Lane, predictor: Gated) -> None:
        predictor.open.set()
        await ask(lane)
        assert lane.delay() == 0
        predictor.open.clear()
        predictor.entered.clear()
        tasks = [ask(lane)]
        await entered(predictor)
        tasks += [ask(lane) for _ in range(2)]
        await asyncio.sleep(0)
        two = lane.delay()
        tasks += [ask(lane) for _ in range(2)]
        await asyncio.sleep(0)
        assert lane.delay() == pytest.approx(2 * two) and two > 0
        predictor.open.set()
        await asyncio.gather(*tasks)

    run(folder, kind, body)
