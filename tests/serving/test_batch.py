"""Many samples in one request: an answer or a problem for each, in order, and none that spoils another."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from bundle.predictor import Predictor
from tests.serving.conftest import TWIN
from tests.serving.process import Server
from tests.serving.samples import POISON, Part, payloads
from tests.serving.test_predict import assert_equals
from tests.serving.test_refusals import assert_problem

Files = list[tuple[str, Part]]


def numbered(samples: list[dict[str, bytes]]) -> Files:
    return [
        (f"{number}.{name}", (name, content))
        for number, sample in enumerate(samples)
        for name, content in sample.items()
    ]


def ask(client: httpx.Client, files: Files, **data: str) -> list[dict[str, Any]]:
    response = client.post("/v1/predict/batch", files=files, data=data)
    assert response.status_code == 200, response.text
    content = response.json()
    assert set(content) == {"items", "timing"} and set(content["timing"]) == {"receive", "total"}
    assert all(list(item) in (["answer"], ["problem"]) for item in content["items"])
    items: list[dict[str, Any]] = content["items"]
    return items


def test_every_sample_is_answered_as_by_the_predictor(client: httpx.Client, bundles: dict[str, Path]) -> None:
    words = ("red", "green", "house")  # texts of one length: this graph, unlike a trained one, sees the padding
    samples = [payloads(("image",), seed=number) | {"text": words[number % 3].encode()} for number in range(12)]
    items = ask(client, numbered(samples))
    assert len(items) == 12
    for item, sample in zip(items, samples, strict=True):
        assert_equals(item["answer"], bundles["image-text"], dict(sample))


def test_the_order_of_the_parts_does_not_matter(client: httpx.Client) -> None:
    samples = [payloads(("image",), seed=number) | {"text": b"red"} for number in range(3)]
    parts = numbered(samples)
    straight, turned = ask(client, parts), ask(client, parts[::-1])
    for one, other in zip(straight, turned, strict=True):
        assert one["answer"]["predictions"] == other["answer"]["predictions"]


def test_samples_may_be_of_different_pairings(client: httpx.Client) -> None:
    samples = [payloads(("audio", "video")), payloads(("image", "text"))]
    assert [item["answer"]["model"] for item in ask(client, numbered(samples))] == ["audio-video", "image-text"]


def test_a_model_may_be_named_for_all_or_for_one(client: httpx.Client) -> None:
    parts = numbered([payloads(("pathology", "genomics"))] * 2)
    named = [*parts, ("1.model", (None, "pathology-genomics"))]
    items = ask(client, named, model=TWIN)
    assert [item["answer"]["model"] for item in items] == [TWIN, "pathology-genomics"]
    assert [item["problem"]["type"].rsplit(":", 1)[1] for item in ask(client, parts)] == ["ambiguous-model"] * 2


def test_what_is_wrong_with_one_sample_is_its_own_matter(client: httpx.Client) -> None:
    good = payloads(("image", "text"))
    parts: Files = numbered([good])
    parts += [("1.image", ("a", good["image"])), ("1.text", (None, " "))]
    parts += [("2.image", ("a", b"not a picture at all")), ("2.text", (None, "red"))]
    parts += [("3.image", (None, "http://127.0.0.1/secret")), ("3.text", (None, "red"))]
    parts += [("4.image", ("a", good["image"])), ("4.image", ("b", good["image"])), ("4.text", (None, "red"))]
    parts += [
        ("5.caption", (None, "red")),
        ("6.image", ("a", good["image"])),
        ("6.text", (None, "x")),
        ("6.model", (None, "best")),
    ]
    parts += [("8.image", ("a", good["image"])), ("8.text", (None, "red"))]
    items = ask(client, parts)
    found = [(item["problem"]["status"], item["problem"].get("field")) if "problem" in item else 200 for item in items]
    assert found == [
        200, (422, "text"), (415, "image"), (422, "image"), (422, "image"),
        (422, "caption"), (404, "model"), (422, None), 200,
    ]  # fmt: skip
    assert "secret" not in json.dumps(items)
    for item in items:
        assert None not in item.get("problem", {}).values()


def test_samples_may_come_as_json(client: httpx.Client, bundles: dict[str, Path]) -> None:
    good: dict[str, Any] = {"text": "red house", "genomics": {"gene_A": 1.0}}
    content = {"items": [good, 5, {**good, "text": 7}, {**good, "extra": 1}, good], "model": "fragile"}
    response = client.post("/v1/predict/batch", json=content)
    assert response.status_code == 200
    items = response.json()["items"]
    assert [item["problem"]["status"] if "problem" in item else 200 for item in items] == [200, 422, 422, 422, 200]
    assert_equals(items[4]["answer"], bundles["fragile"], good)


def test_a_poisonous_sample_fails_alone(client: httpx.Client, bundles: dict[str, Path], server: Server) -> None:
    samples = [
        {"text": f"red {POISON}" if number == 20 else "red house", "genomics": {"gene_A": number / 10}}
        for number in range(64)
    ]
    items = client.post("/v1/predict/batch", json={"items": samples}).json()["items"]
    assert [number for number, item in enumerate(items) if "problem" in item] == [20]
    assert items[20]["problem"]["type"] == "urn:infobridge:problem:internal-error"
    predictor = Predictor(bundles["fragile"])
    for number in (0, 19, 21, 63):
        [expected] = predictor.predict([samples[number]])  # type: ignore[list-item]
        found = items[number]["answer"]["modalities"]["genomics"]["confidence"]
        assert found == pytest.approx(expected.modalities["genomics"].confidence, abs=1e-6)
    assert POISON not in server.log()


@pytest.mark.parametrize(
    ("content", "status", "kind", "field"),
    [
        ({"items": []}, 422, "invalid-input", "items"),
        ({"items": {}}, 422, "invalid-input", "items"),
        ({}, 422, "invalid-input", "items"),
        ({"items": [{}], "models": "fragile"}, 422, "invalid-input", "models"),
        ({"items": [{}], "model": 3}, 422, "invalid-input", "model"),
        ({"items": [{}], "model": "best"}, 404, "unknown-model", "model"),
        ({"items": [{}], "model": ""}, 404, "unknown-model", "model"),
        ({"items": [{}] * 65}, 413, "too-large", None),
    ],
)
def test_what_is_wrong_with_the_whole_request(
    client: httpx.Client, content: Any, status: int, kind: str, field: str | None
) -> None:
    assert_problem(client.post("/v1/predict/batch", json=content), status, kind, field=field)


def test_what_is_wrong_with_the_whole_form(client: httpx.Client) -> None:
    sample = payloads(("image", "text"))
    too_many = numbered([{"text": b"red"}] * 65)
    assert_problem(client.post("/v1/predict/batch", files=too_many), 413, "too-large")
    for name in ("image", "01.image", "-1.image", "0image", "0.", "1e3.image"):
        files: Files = [(name, ("a", sample["image"]))]
        assert_problem(client.post("/v1/predict/batch", files=files), 422, "invalid-input", field=name)
    assert_problem(
        client.post("/v1/predict/batch", data={"model": "image-text"}, files={"model": (None, "x")}),
        422,
        "invalid-input",
    )
    assert_problem(
        client.post("/v1/predict/batch", content=b"x", headers={"content-type": "text/plain"}),
        415,
        "unsupported-content-type",
    )
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert_problem(client.post("/v1/predict/batch", content=b"{}", headers=headers), 415, "unsupported-content-type")
