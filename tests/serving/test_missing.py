"""Samples that lack a modality, answers that abstain: over a real socket, and by a strict server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from bundle.modalities import Payload
from bundle.predictor import Predictor
from serving.api import Api
from serving.host import Host
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.registry import Registry
from serving.settings import Settings
from tests.bundles import PAIRINGS
from tests.serving.samples import Part, payloads, upload
from tests.serving.test_api import Loaded
from tests.serving.test_batch import ask, numbered
from tests.serving.test_predict import assert_equals
from tests.serving.test_refusals import assert_problem

GENES: dict[str, Payload] = {"genomics": {"gene_A": 1.0}}
NO_MODALITY: list[dict[str, Any]] = [{}, {"abstain_below": 0.5}, {"require_all": False}, {"caption": "red"}]


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_any_modality_may_be_missing(client: httpx.Client, bundles: dict[str, Path], pairing: tuple[str, ...]) -> None:
    name = "-".join(pairing)
    whole = payloads(pairing, seed=3)
    for left in pairing:
        sample = {left: whole[left]}
        response = client.post("/v1/predict", data={"model": name}, files=upload(sample))
        assert response.status_code == 200, response.text
        assert_equals(response.json(), bundles[name], dict(sample))
        assert response.json()["missing"] == [other for other in pairing if other != left]


@pytest.mark.parametrize(
    ("field", "model"), [("image", "image-text"), ("audio", "audio-video"), ("video", "audio-video")]
)
def test_the_only_model_that_takes_a_field_needs_no_name(client: httpx.Client, field: str, model: str) -> None:
    answer = client.post("/v1/predict", files=upload(payloads((field,)))).json()
    assert (answer["model"], list(answer["modalities"])) == (model, [field])


def test_contributions_add_up_and_are_those_of_the_coalitions(client: httpx.Client) -> None:
    for body in (GENES | {"model": "fragile"}, GENES | {"text": "red house"}):
        answer = client.post("/v1/predict", json=body).json()
        added = sum(own["contribution"] for own in answer["modalities"].values())
        assert answer["predictions"][0]["probability"] == pytest.approx(answer["baseline"] + added, abs=1e-12)
    assert answer["modalities"]["text"]["shift"] is None  # the bundle states no distance for it
    assert answer["modalities"]["genomics"]["shift"] == pytest.approx(0.025)  # 1 in 4 columns, of 10


def test_a_sample_that_must_be_whole_is_refused_by_the_field_that_it_lacks(client: httpx.Client) -> None:
    body: dict[str, Any] = {**GENES, "model": "fragile", "require_all": True}
    content = assert_problem(client.post("/v1/predict", json=body), 422, "invalid-input", field="text")
    assert content["expected"].startswith("all of text, genomics") and content["received"] == "only genomics"
    assert client.post("/v1/predict", json=body | {"require_all": False}).status_code == 200
    assert client.post("/v1/predict", json=body | {"text": "red"}).status_code == 200


@pytest.mark.parametrize("body", NO_MODALITY)
def test_without_any_known_modality_there_is_no_answer(client: httpx.Client, body: dict[str, Any]) -> None:
    content = assert_problem(client.post("/v1/predict", json=body), 422, "unknown-pairing")
    assert "text + genomics" in content["possible"]


def test_what_is_there_and_empty_is_not_missing(client: httpx.Client) -> None:
    """A file that came out empty is a fault, which must not pass for a choice."""
    picture = payloads(("image",))["image"]
    for image, text, field in ((b"", "red", "image"), (picture, "", "text"), (picture, " ", "text")):
        files: dict[str, Part] = {"image": ("a.png", image), "text": (None, text)}
        assert_problem(client.post("/v1/predict", files=files), 422, "invalid-input", field=field)


def test_a_request_may_ask_for_more_or_less_certainty_than_the_bundle(client: httpx.Client) -> None:
    body: dict[str, Any] = {**GENES, "text": "red house"}
    sure = client.post("/v1/predict", json=body).json()
    probability = sure["predictions"][0]["probability"]
    assert 0.35 < probability < 1 and sure["abstain"] is False
    for below, abstains in ((1, True), (0, False), (probability + 0.01, True), (probability - 0.01, False)):
        answer = client.post("/v1/predict", json=body | {"abstain_below": below}).json()
        assert answer["abstain"] is abstains and answer["predictions"] == sure["predictions"]
        form = {"genomics": (None, '{"gene_A": 1.0}'), "text": (None, "red house"), "abstain_below": (None, str(below))}
        assert client.post("/v1/predict", files=form).json()["abstain"] is abstains


def test_a_batch_mixes_samples_with_and_without_a_modality(client: httpx.Client, bundles: dict[str, Path]) -> None:
    samples = [payloads(("image",), seed=number) | ({"text": b"red"} if number % 2 else {}) for number in range(9)]
    items = ask(client, numbered(samples), abstain_below="1")
    for item, sample in zip(items, samples, strict=True):
        answer = item["answer"]
        assert answer["abstain"] is True
        assert_equals(answer | {"abstain": False}, bundles["image-text"], dict(sample))
    strict = ask(client, numbered(samples), require_all="1")
    assert [item["problem"]["field"] if "problem" in item else None for item in strict] == ["text", None] * 4 + ["text"]


def test_the_options_of_a_batch_are_those_of_every_sample_but_one_that_has_its_own(client: httpx.Client) -> None:
    item: dict[str, Any] = {**GENES, "model": "fragile"}
    content = {"items": [item, item | {"require_all": False}, item | {"abstain_below": 0}], "abstain_below": 1}
    found = client.post("/v1/predict/batch", json=content).json()["items"]
    assert [entry["answer"]["abstain"] for entry in found] == [True, True, False]
    found = client.post("/v1/predict/batch", json=content | {"require_all": True}).json()["items"]
    assert ["answer" in entry for entry in found] == [False, True, False]
    for options in ({"require_all": "yes"}, {"abstain_below": 7}):
        [field] = options
        response = client.post("/v1/predict/batch", json={"items": [item], **options})
        assert_problem(response, 422, "invalid-input", field=field)


def strictly(folder: Path, *requests: dict[str, Any]) -> tuple[list[httpx.Response], dict[str, Any], dict[str, Any]]:
    """What a server that requires all inputs answers, its description of the model, and its document."""

    async def main() -> tuple[list[httpx.Response], dict[str, Any], dict[str, Any]]:
        settings = Settings(require_all=True)
        with ThreadPoolExecutor(1) as threads:
            model = ServedModel(Predictor(folder, threads=1), settings, threads)
            api = Api(settings, cast(Host, Loaded(Registry([model]))), Metrics())
            async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
                found = [await client.post("/v1/predict", json=body) for body in requests]
                [described] = (await client.get("/v1/models")).json()["models"]
                document = (await client.get("/v1/openapi.json")).json()
            await model.close()
        return found, described, document

    return asyncio.run(main())


def test_a_strict_server_stays_strict_whatever_a_request_says(bundles: dict[str, Path]) -> None:
    lacking, insisting = {**GENES}, {**GENES, "require_all": False, "model": "fragile"}
    (first, second, whole), described, document = strictly(
        bundles["fragile"], lacking, insisting, {**GENES, "text": "red", "require_all": False}
    )
    for refused in (first, second):
        assert_problem(refused, 422, "invalid-input", field="text")
    assert whole.status_code == 200 and described["may_be_missing"] == []
    operation = document["paths"]["/v1/predict"]["post"]
    assert "requires every input" in operation["description"]
    for content in operation["requestBody"]["content"].values():
        [schema] = content["schema"]["oneOf"]
        assert schema["anyOf"] == [{"required": ["text", "genomics"]}]
