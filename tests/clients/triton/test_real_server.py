"""The clients against a real Triton server process."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc

from bundle.predictor import Predictor
from clients.answer import Answer
from clients.errors import BadRequest, InvalidRequest, NotFound, TimedOut, TimeLimit, UnexpectedAnswer
from clients.questions import Result
from clients.triton import AsyncClient, Client
from clients.triton.over_grpc import GrpcWire
from clients.triton.over_http import HttpWire
from clients.triton.request import Address, Request
from tests.bundles import LABELS, PAIRINGS, build_bundle
from tests.clients.triton.conftest import PATIENT, Served, assert_same, examples

WAYS = ("http", "grpc", "http-aio", "grpc-aio", "http-shared", "grpc-shared", "http-aio-shared", "grpc-aio-shared")
Batch = Callable[..., list[Result]]


@pytest.fixture(params=WAYS)
def asked(request: pytest.FixtureRequest, served: Served) -> Batch:
    """Answers for many samples, by one of the ways there are."""
    protocol, _, kind = request.param.partition("-")
    url = served.url(protocol)

    def ask(bundle: Path, samples: list[Any], **options: Any) -> list[Result]:
        async def awaited() -> list[Result]:
            async with AsyncClient(url, bundle, shared_memory=shared) as client:
                return await client.predict_batch(samples, **options)

        shared = kind.endswith("shared")
        if kind.startswith("aio"):
            return asyncio.run(awaited())
        with Client(url, bundle, shared_memory=shared) as client:
            return client.predict_batch(samples, **options)

    return ask


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_answers_are_those_of_the_predictor(asked: Batch, served: Served, pairing: tuple[str, ...]) -> None:
    predictor = Predictor(served.bundles[pairing])
    sample = examples(predictor)
    [answer] = asked(served.bundles[pairing], [sample], require_all=True, abstain_below=0.5)
    [expected] = predictor.predict([sample])
    assert isinstance(answer, Answer) and answer.missing == ()
    assert_same(answer, expected.abstaining(0.5))
    assert answer.timing.total >= answer.timing.infer > 0 and answer.timing.decode > 0
    assert answer.request_id is not None


def test_one_batch_mixes_missing_modalities_and_samples_that_cannot_be_used(asked: Batch, served: Served) -> None:
    bundle = served.bundles["image", "text"]
    predictor = Predictor(bundle)
    whole = examples(predictor)
    good = [whole, {"text": "red house"}, {"image": whole["image"]}] * 4  # more than the model takes at once
    results = asked(bundle, [good[0], {**whole, "image": b"no picture"}, *good[1:], {"sound": b"x"}], abstain_below=1)
    answers = [result for result in results if isinstance(result, Answer)]
    expected = [prediction.abstaining(1) for first in (good[:8], good[8:]) for prediction in predictor.predict(first)]
    for answer, prediction in zip(answers, expected, strict=True):
        assert_same(answer, prediction)
    assert [answer.missing for answer in answers[:3]] == [(), ("image",), ("text",)]
    broken, unknown = results[1], results[-1]
    assert isinstance(broken, InvalidRequest | Exception) and isinstance(unknown, InvalidRequest)
    assert (getattr(broken, "problem").field, unknown.field) == ("image", "sound")  # noqa: B009
    strict = asked(bundle, [{"text": "red house"}, whole], require_all=True)
    assert isinstance(strict[0], InvalidRequest) and strict[0].field == "image" and isinstance(strict[1], Answer)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_each_client_is_answered_by_the_version_of_its_own_bundle(served: Served, protocol: str) -> None:
    older = Predictor(served.bundles["image", "text"])
    sample = examples(older)
    found = []
    for bundle in (served.bundles["image", "text"], served.newer):
        with Client(served.url(protocol), bundle) as client:
            found.append(client.predict(**sample))
        assert_same(found[-1], Predictor(bundle).predict([sample])[0])
    assert found[0].predictions != found[1].predictions


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("shared", [False, True])
def test_sixteen_threads_share_a_client_and_the_server_batches_them(
    served: Served, protocol: str, shared: bool
) -> None:
    bundle = served.bundles["audio", "video"]
    predictor = Predictor(bundle)
    samples = [examples(predictor, seed) for seed in range(16)]
    expected = predictor.predict(samples)
    before = statistics(served, "audio-video")
    start = Barrier(16)
    with Client(served.url(protocol), bundle, shared_memory=shared, connections=16) as client:
        client.predict(**samples[0])

        def ask(number: int) -> list[Answer]:
            start.wait()
            return [client.predict(**samples[number]) for _ in range(4)]

        with ThreadPoolExecutor(16) as pool:
            for number, answers in enumerate(pool.map(ask, range(16))):
                for answer in answers:
                    assert_same(answer, expected[number])
    after = statistics(served, "audio-video")
    assert sum(after.values()) - sum(before.values()) < 65, "65 predictions took fewer inferences"
    assert max(after) > 1 and max(after) <= PATIENT.max_batch
    assert sum(size * count for size, count in (after - before).items()) == 65


def statistics(served: Served, model: str) -> Counter[int]:
    """How many inferences of which size the server has made."""
    [found] = httpx.get(f"{served.url('http')}/v2/models/{model}/stats").json()["model_stats"]
    return Counter({batch["batch_size"]: batch["compute_infer"]["count"] for batch in found["batch_stats"]})


@pytest.mark.parametrize("shared", [False, True])
def test_tasks_share_an_asynchronous_client(served: Served, shared: bool) -> None:
    bundle = served.bundles["pathology", "genomics"]
    predictor = Predictor(bundle)
    samples = [examples(predictor, seed) for seed in range(8)]

    async def ask(protocol: str) -> list[Answer]:
        async with AsyncClient(served.url(protocol), bundle, shared_memory=shared) as client:
            return await asyncio.gather(*(client.predict(**sample) for sample in samples))

    for protocol in ("http", "grpc"):
        for answer, expected in zip(asyncio.run(ask(protocol)), predictor.predict(samples), strict=True):
            assert_same(answer, expected)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_unknown_model_and_one_of_another_bundle_are_told_apart(
    served: Served, protocol: str, tmp_path: Path
) -> None:
    other = build_bundle(tmp_path / "other", ("image", "text"), name="image-text", seed=7)
    with Client(served.url(protocol), other) as client, pytest.raises(UnexpectedAnswer, match="from this bundle"):
        client.predict(text="red")
    with (
        Client(served.url(protocol), other, model="absent") as client,
        pytest.raises(NotFound, match=r"unknown model: 'absent' is not found \(HTTP 404\)"),
    ):
        client.predict(text="red")


class Impatient(Request):
    """Waits for the answer, but not in the server's queue."""

    @property
    def microseconds(self) -> int:
        return 1


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_the_server_refuses_is_said_by_type(served: Served, protocol: str) -> None:
    address = Address(served.url(protocol))
    wire = GrpcWire(address, 20, {}) if protocol == "grpc" else HttpWire(address, 20, {}, 1)
    predictor = Predictor(served.bundles["image", "text"])
    feed = predictor.feed([predictor.prepare(examples(predictor))])
    try:
        wrong = {**feed, "image": feed["image"][:, :2]}
        with pytest.raises(BadRequest, match="unexpected shape for input 'image'"):
            wire.infer(Request("image-text", "1", wrong, ("logits",), 20))
        with pytest.raises(BadRequest, match="batch-size must be <= 8"):
            many = {name: np.repeat(array, 9, axis=0) for name, array in feed.items()}
            wire.infer(Request("image-text", "1", many, ("logits",), 20))
        with pytest.raises(NotFound, match="version 3"):
            wire.infer(Request("image-text", "3", feed, ("logits",), 20))
        with pytest.raises(TimeLimit, match="timeout expired"):
            wire.infer(Impatient("image-text", "1", feed, ("logits",), 20))
    finally:
        wire.close()


@pytest.mark.parametrize("way", ["http", "grpc", "http-aio", "grpc-aio"])
def test_an_answer_that_does_not_come_in_time_is_not_waited_for(served: Served, way: str) -> None:
    protocol, _, kind = way.partition("-")
    url, bundle = served.url(protocol), served.bundles["image", "text"]

    async def awaited() -> None:
        async with AsyncClient(url, bundle, timeout=0.002) as client:
            await client.predict(text="red")

    with pytest.raises(TimedOut, match=r"within 0\.002 seconds"):
        if kind:
            asyncio.run(awaited())
        else:
            with Client(url, bundle, timeout=0.002) as client:  # the server waits 20 ms for others
                client.predict(text="red")


def test_the_server_knows_the_labels(served: Served) -> None:
    predictor = Predictor(served.bundles["image", "text"])
    sample = examples(predictor)
    feed = predictor.feed([predictor.prepare(sample)])
    client = tritonclient.grpc.InferenceServerClient(served.url("grpc").removeprefix("grpc://"))
    inputs = Request("image-text", "1", feed, (), 20).tensors(tritonclient.grpc)
    wanted = [tritonclient.grpc.InferRequestedOutput("logits", class_count=len(LABELS))]
    found = client.infer("image-text", inputs, "1", wanted).as_numpy("logits")
    named = [entry.decode().rpartition(":")[2] for entry in found[0]]
    assert named == [entry.label for entry in predictor.predict([sample])[0].predictions]
    client.close()


def test_the_command_line_asks_it(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    from clients.__main__ import main

    bundle = served.bundles["image", "text"]
    for protocol in ("http", "grpc"):
        url = served.url(protocol)
        assert main(["predict", url, "--triton", str(bundle), "--text", "red house", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        [expected] = Predictor(bundle).predict([{"text": "red house"}])
        assert found["missing"] == ["image"] and found["predictions"][0]["label"] == expected.predictions[0].label
    assert main(["predict", url, "--triton", str(bundle), "--text", "red", "--require-all"]) == 2
    assert "all of image, text" in capsys.readouterr().err
