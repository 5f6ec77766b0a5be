"""What the service says about itself."""

from pathlib import Path
from typing import Any

import httpx

from bundle.manifest import Manifest
from serving.openapi import PREDICTING
from serving.problems import KINDS
from tests.serving.conftest import TWIN
from tests.serving.samples import payloads, upload


def test_models_are_described(client: httpx.Client, bundles: dict[str, Path]) -> None:
    models = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
    assert list(models) == list(bundles)
    manifest = Manifest.read(bundles["image-text"])
    found = models["image-text"]
    assert found["labels"] == list(manifest.labels)
    assert found["provenance"] == manifest.provenance
    assert found["calibration"] == {"fused": manifest.calibration.fused, "shares": manifest.calibration.shares}
    assert found["schema_version"] == manifest.schema_version
    assert found["provider"] == "CPUExecutionProvider"
    assert found["inputs"] == [
        {"name": "image", "modality": "image", "field": "file", "shape": [3, 16, 16], "dtype": "uint8"},
        {"name": "text", "modality": "text", "field": "string", "shape": [None], "dtype": "int64"},
    ]
    assert models[TWIN]["inputs"][1]["field"] == "object"


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


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
    required = set(schemas["Answer"]["required"])
    answer = client.post("/v1/predict", files=upload(payloads(("audio", "video")))).json()
    assert set(answer) == required == set(schemas["Answer"]["properties"])


def test_the_documented_json_examples_work(client: httpx.Client) -> None:
    operation = client.get("/v1/openapi.json").json()["paths"]["/v1/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert list(examples) == ["fragile"]
    response = client.post("/v1/predict", json=examples["fragile"]["value"])
    assert response.status_code in (200, 500)  # this bundle fails on a word that its example may hold


def test_probes_answer(client: httpx.Client) -> None:
    for path in ("/livez", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200
