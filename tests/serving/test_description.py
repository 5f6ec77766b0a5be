"""What the service says about itself."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
from pydantic import TypeAdapter

from bundle.answer import Prediction
from bundle.manifest import Manifest
from serving.openapi import PREDICTING
from serving.problems import KINDS
from serving.schema import Answer
from tests.serving.conftest import TWIN
from tests.serving.samples import FACTS, payloads, upload


def test_models_are_described(client: httpx.Client, bundles: dict[str, Path]) -> None:
    models = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
    assert list(models) == list(bundles)
    manifest = Manifest.read(bundles["image-text"])
    found = models["image-text"]
    assert found["labels"] == list(manifest.labels)
    assert found["provenance"] == manifest.provenance
    assert found["may_be_missing"] == ["image", "text"]
    assert found["calibration"] == {"fused": 1.0, "shares": {}, "coalitions": {}}
    assert (found["expectations"], found["shifts"], found["abstain_below"]) == ({}, {}, None)
    assert found["examples"] == [["image", "text"]] * 3 + [["image"]]
    assert found["schema_version"] == manifest.schema_version
    assert (found["provider"], found["device"], found["precision"]) == ("CPUExecutionProvider", "cpu", "fp32")
    assert set(found["nodes"]) == {"CPUExecutionProvider"} and found["nodes"]["CPUExecutionProvider"] > 10
    assert found["inputs"] == [
        {"name": "image", "modality": "image", "field": "file", "shape": [3, 16, 16], "dtype": "uint8"},
        {"name": "text", "modality": "text", "field": "string", "shape": [None], "dtype": "int64"},
    ]
    assert models[TWIN]["inputs"][1]["field"] == "object"
    manifest = Manifest.read(bundles["fragile"])
    stated = {name: getattr(manifest, name) for name in ("calibration", "expectations", "shifts", "abstain_below")}
    assert stated == FACTS
    assert TypeAdapter(dict[str, Any]).dump_python(stated, mode="json") == {
        name: models["fragile"][name] for name in FACTS
    }


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def explained(schema: dict[str, Any]) -> bool:
    return bool(schema.get("description"))


def test_the_openapi_document_is_honest(client: httpx.Client) -> None:
    document: dict[str, Any] = client.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    schemas = document["components"]["schemas"]
    assert {reference.rsplit("/", 1)[1] for reference in references(document)} <= set(schemas)
    assert {"Answer", "Models", "Problem", "Timing"} <= set(schemas)
    operation = document["paths"]["/v1/predict"]["post"]
    assert set(operation["responses"]) == {"200", *(str(KINDS[kind]) for kind in PREDICTING)}
    forms = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["oneOf"]
    assert [form["title"] for form in forms] == [m["name"] for m in client.get("/v1/models").json()["models"]]
    for path, operations in document["paths"].items():
        if "get" in operations:
            known = {"model": "image-text", "index": "0", "input": "text"}
            response = client.get(path.format(**known))
            assert response.status_code == 200
            [kind] = operations["get"]["responses"]["200"]["content"]
            assert kind == "*/*" or response.headers["content-type"].startswith(kind)
    described = [schemas[name]["properties"] for name in ("Answer", "ModalityAnswer", "Expectation", "Calibration")]
    assert [name for part in described for name, schema in part.items() if not explained(schema)] == ["timing"]
    assert [entry.name for entry in fields(Answer)] == [*(entry.name for entry in fields(Prediction)), "timing"]
    required = set(schemas["Answer"]["required"])
    answer = client.post("/v1/predict", files=upload(payloads(("audio", "video")))).json()
    assert set(answer) == required == set(schemas["Answer"]["properties"])


def test_the_documented_json_examples_work(client: httpx.Client) -> None:
    operation = client.get("/v1/openapi.json").json()["paths"]["/v1/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert {name: list(example["value"]) for name, example in examples.items()} == {
        "image-text": ["text", "model"],
        "pathology-genomics": ["genomics", "model"],
        TWIN: ["genomics", "model"],
        "fragile": ["text", "genomics", "model"],
    }
    for name, example in examples.items():
        response = client.post("/v1/predict", json=example["value"])
        assert response.status_code == 200 and response.json()["model"] == name


def test_probes_answer(client: httpx.Client) -> None:
    for path in ("/livez", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200
