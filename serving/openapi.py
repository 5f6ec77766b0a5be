"""The OpenAPI 3.1 document of the service, made from the models that are loaded."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import TypeAdapter

from serving.fields import JSON
from serving.model import ServedModel
from serving.openapi_problems import PROBLEM, responses
from serving.openapi_requests import batch_body, predict_body, sample_answer
from serving.schema import Answer, BatchAnswer, Models, Problem
from serving.settings import Settings

Json = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"
PREDICTING = (
    "malformed-body",
    "unknown-model",
    "too-large",
    "unsupported-content-type",
    "unsupported-media",
    "invalid-input",
    "ambiguous-model",
    "unknown-pairing",
    "internal-error",
    "overloaded",
    "not-ready",
    "too-slow",
)
"""Kinds of problems that a prediction may end with."""


def document(models: Sequence[ServedModel], settings: Settings) -> Json:
    """The whole document."""
    kinds = (Answer, BatchAnswer, Models, Problem)
    _, definitions = TypeAdapter.json_schemas(
        [(kind, "serialization", TypeAdapter(kind)) for kind in kinds], ref_template=REFERENCE
    )
    keyed = settings.key_file is not None
    content: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "InfoBridge",
            "version": _version(),
            "description": "Paired raw signals to a class, with what each modality says and contributes.",
        },
        "paths": {path: _operations(entry, keyed) for path, entry in _paths(models, settings).items()},
        "components": {"schemas": {**definitions["$defs"], "Problem": PROBLEM}},
    }
    if keyed:
        content["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    return content


def _paths(models: Sequence[ServedModel], settings: Settings) -> Json:
    names = [model.name for model in models]
    index = {"type": "integer", "minimum": 0, "maximum": max((len(model.examples) for model in models), default=1) - 1}
    inputs = list(dict.fromkeys(name for model in models for name in model.inputs))
    of_example = [_parameter("model", {"enum": names}), _parameter("index", index)]
    return {
        "/v1/predict": {"post": _predict(models, settings)},
        "/v1/predict/batch": {"post": _predict_batch(models, settings)},
        "/v1/models": {"get": _get("models", "Describe the loaded models", _json(_reference("Models")), ["not-ready"])},
        "/v1/models/reload": {"post": _reload()},
        "/v1/models/{model}/examples/{index}": {
            "parameters": of_example,
            "get": _get(
                "example",
                "A generated sample as the whole body of a request to /v1/predict",
                {"multipart/form-data": {"schema": {"type": "string", "format": "binary"}}},
                ["unknown-model", "unknown-example", "not-ready"],
            ),
        },
        "/v1/models/{model}/examples/{index}/{input}": {
            "parameters": [*of_example, _parameter("input", {"enum": inputs})],
            "get": _get(
                "exampleInput",
                "The payload of one input of a generated sample",
                {"*/*": {"schema": {}}},
                ["unknown-model", "unknown-example", "not-ready"],
            ),
        },
        "/v1/openapi.json": {"get": _get("openapi", "This document", _json({"type": "object"}), ["not-ready"])},
        "/livez": {"get": _get("live", "Whether the process answers", _text(), [])},
        "/readyz": {"get": _get("ready", "Whether the models are loaded and checked", _text(), ["not-ready"])},
        "/metrics": {"get": _get("metrics", "Numbers for Prometheus", _text(), [])},
    }


def _operations(entry: Json, keyed: bool) -> Json:
    """With keys, every operation but the probes may be refused for want of one."""
    for name, operation in entry.items():
        if name == "parameters" or not keyed or operation["operationId"] in ("live", "ready"):
            continue
        operation["security"] = [{"bearer": []}, {"header": []}]
        operation["responses"] |= responses(["unauthorized"])
    return entry


def _version() -> str:
    try:
        return version("infobridge")
    except PackageNotFoundError:
        return "unknown"


def _reference(name: str) -> Json:
    return {"$ref": REFERENCE.format(model=name)}


def _json(schema: Json) -> Json:
    return {JSON: {"schema": schema}}


def _text() -> Json:
    return {"text/plain": {"schema": {"type": "string"}}}


def _parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _get(identifier: str, summary: str, content: Json, problems: Sequence[str]) -> Json:
    return {
        "operationId": identifier,
        "summary": summary,
        "responses": {"200": {"description": "OK", "content": content}, **responses(problems)},
    }


def _reload() -> Json:
    return {
        "operationId": "reload",
        "summary": "Load the bundles anew; needs an administrator's key",
        "description": "The new ones prove themselves first; where one does not, all stays as it was.",
        "responses": {
            "200": {"description": "The models now loaded", "content": _json(_reference("Models"))},
            **responses(["forbidden", "reload-refused", "not-ready"]),
        },
    }


def _lacking(settings: Settings) -> str:
    if settings.require_all:
        return "This server requires every input of the model."
    return (
        "A sample may lack inputs of its model, so long as one is left: they are left out of the request, and the "
        "answer says what was `missing`. An input that is there and empty is an error of its field, since a file that "
        "came out empty is a fault that should not pass for a choice."
    )


def _predict(models: Sequence[ServedModel], settings: Settings) -> Json:
    examples = {model.name: {"value": sample_answer(model)} for model in models}
    return {
        "operationId": "predict",
        "summary": "Predict the class of one sample",
        "description": (
            "The set of fields decides which model answers: the one that takes exactly these, else the only one that "
            f"takes these and more; where several do, the field `model` names one. {_lacking(settings)} A file may be "
            "sent in two fields: a clip with sound serves as both audio and video. A request may have "
            f"{settings.body_limit} bytes, a part that is not a file, or a JSON body, {settings.part_limit}."
        ),
        "requestBody": predict_body(models, settings),
        "responses": {
            "200": {
                "description": "The prediction",
                "headers": {"Server-Timing": {"description": "Milliseconds by stage", "schema": {"type": "string"}}},
                "content": {JSON: {"schema": _reference("Answer"), "examples": examples}},
            },
            **responses(PREDICTING),
        },
    }


def _predict_batch(models: Sequence[ServedModel], settings: Settings) -> Json:
    return {
        "operationId": "predictBatch",
        "summary": "Predict the classes of many samples",
        "description": (
            "Parts are named by sample and field: `0.image`, `0.text`, `1.image` and so on, up to "
            f"{settings.batch_items} samples. Each gets an answer or a problem of its own, in the order sent. "
            "`model`, `require_all` and `abstain_below` are of all samples; named like `0.model`, they are of one."
        ),
        "requestBody": batch_body(models, settings),
        "responses": {
            "200": {"description": "An answer or a problem for each", "content": _json(_reference("BatchAnswer"))},
            **responses([kind for kind in PREDICTING if kind != "ambiguous-model"]),
        },
    }
