"""One sample that the graph fails on, among sixty-four: the others are answered as if it were not there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.predictor import Predictor
from tests.serving.process import Server
from tests.serving.reliability.load import Connections, Reply, post
from tests.serving.samples import POISON

COUNT = 64
POISONED = 41


def samples() -> list[dict[str, Any]]:
    """One after the other of different numbers; one of them with the word that the graph fails on."""
    generator = np.random.default_rng(7)
    words = ["red", "green", "house", "red house", "green house"]
    found: list[dict[str, Any]] = [
        {"text": words[index % len(words)], "genomics": [round(float(value), 3) for value in generator.normal(size=4)]}
        for index in range(COUNT)
    ]
    found[POISONED]["text"] = f"red {POISON}"
    return found


@pytest.fixture(scope="module")
def predictor(bundles: dict[str, Path]) -> Predictor:
    return Predictor(bundles["fragile"])


def same(predictor: Predictor, sample: dict[str, Any], answer: dict[str, Any]) -> None:
    [expected] = predictor.predict([{"text": sample["text"], "genomics": json.dumps(sample["genomics"])}])
    assert answer["model"] == "fragile"
    assert [entry["label"] for entry in answer["predictions"]] == [entry.label for entry in expected.predictions]
    found = [entry["probability"] for entry in answer["predictions"]]
    np.testing.assert_allclose(found, [entry.probability for entry in expected.predictions], atol=1e-6)
    for name, modality in expected.modalities.items():
        assert answer["modalities"][name]["label"] == modality.label
        np.testing.assert_allclose(answer["modalities"][name]["confidence"], modality.confidence, atol=1e-6)


def test_of_64_requests_at_once_only_the_poisoned_one_fails(server: Server, predictor: Predictor) -> None:
    given = samples()

    async def ask_all() -> list[Reply]:
        connections = Connections(server.host, server.port)
        requests = [post("/v1/predict", json.dumps({**sample, "model": "fragile"}).encode()) for sample in given]
        replies = await asyncio.gather(*map(connections.ask, requests))
        # what was refused for want of room was not spoilt: it is asked again, as a caller would
        for number, reply in enumerate(replies):
            if reply.status == 503:
                replies[number] = await connections.ask(requests[number])
        await connections.close()
        return replies

    for number, (sample, reply) in enumerate(zip(given, asyncio.run(ask_all()), strict=True)):
        if number == POISONED:
            assert reply.status == 500 and reply.json()["type"] == "urn:infobridge:problem:internal-error"
            assert POISON not in reply.body.decode()
        else:
            assert reply.status == 200, (number, reply)
            same(predictor, sample, reply.json())


def test_of_a_batch_of_64_only_the_poisoned_sample_fails(server: Server, predictor: Predictor) -> None:
    given = samples()
    with server.client() as client:
        response = client.post("/v1/predict/batch", json={"items": given, "model": "fragile"})
    assert response.status_code == 200
    items = response.json()["items"]
    assert len(items) == COUNT
    for number, (sample, item) in enumerate(zip(given, items, strict=True)):
        if number == POISONED:
            assert item["problem"]["type"] == "urn:infobridge:problem:internal-error"
        else:
            same(predictor, sample, item["answer"])
