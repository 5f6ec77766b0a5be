"""The OpenAPI 3.1 document of the routes under /v1, made from the models that are loaded."""

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from serving.fields import JSON, MODEL, MULTIPART
from serving.model import ServedModel
from serving.problems import HEADERS, KINDS, MEDIA_TYPE, NAMESPACE
from serving.schema import FILE, Answer, Models, Problem
from serving.settings import Settings

Json = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"
SHOWN_KEYS = 3
PREDICT_KINDS = [kind for kind in KINDS if kind not in ("unknown-path", "wrong-method")]


def document(models: Sequence[ServedModel], settings: Settings) -> Json:
    """The whole document."""
    _, definitions = TypeAdapter.json_schemas(
        [(kind, "serialization", TypeAdapter(kind)) for kind in (Answer, Models, Problem)], ref_template=REFERENCE
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "InfoBridge",
            "version": _version(),
            "description": "Paired raw signals to a class, with the confidence of each modality.",
        },
        "paths": {
            "/v1/predict": {"post": _predict(models, settings)},
            "/v1/models": {"get": _get("models", "Describe the loaded models", _reference("Models"))},
            "/v1/openapi.json": {"get": _get("openapi", "This document", {"type": "object"})},
        },
        "components": {"schemas": definitions["$defs"]},
    }


def _version() -> str:
    try:
        return version("infobridge")
    except PackageNotFoundError:
        return "unknown"


def _reference(name: str) -> Json:
    return {"$ref": REFERENCE.format(model=name)}


def _get(identifier: str, summary: str, schema: Json) -> Json:
    return {
        "operationId": identifier,
        "summary": summary,
        "responses": {"200": {"description": "OK", "content": {JSON: {"schema": schema}}}, **_problems(["not-ready"])},
    }


def _predict(models: Sequence[ServedModel], settings: Settings) -> Json:
    inline = [model for model in models if FILE not in model.fields.values()]
    content: Json = {MULTIPART: {"schema": {"oneOf": [_form(model) for model in models]}}}
    if inline:
        content[JSON] = {
            "schema": {"oneOf": [_object(model) for model in inline]},
            "examples": {model.name: {"value": _example_object(model)} for model in inline},
        }
    success = {"schema": _reference("Answer"), "examples": {model.name: _example_answer(model) for model in models}}
    return {
        "operationId": "predict",
        "summary": "Predict the class of one sample",
        "description": (
            "The set of fields decides which model answers; where several take it, the field `model` names one. A file "
            "may be sent in two fields: a clip with sound serves as both audio and video. A request may have "
            f"{settings.body_limit} bytes, a part that is not a file, or a JSON body, {settings.part_limit}."
        ),
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "The prediction", "content": {JSON: success}},
            **_problems(PREDICT_KINDS),
        },
    }


def _problems(kinds: Sequence[str]) -> Json:
    found: Json = {}
    for kind in kinds:
        title = kind.replace("-", " ").capitalize()
        status = str(KINDS[kind])
        entry = found.setdefault(
            status,
            {"description": "", "content": {MEDIA_TYPE: {"schema": _reference("Problem"), "examples": {}}}},
        )
        entry["description"] = f"{entry['description']}; {title}".removeprefix("; ")
        value = {"type": NAMESPACE + kind, "title": title, "status": KINDS[kind], "detail": "what is wrong"}
        entry["content"][MEDIA_TYPE]["examples"][kind] = {"value": value}
        for header in HEADERS.get(kind, {}):
            if header == "Retry-After":
                schema = {"type": "integer"}
                entry["headers"] = {header: {"description": "Seconds to wait before trying again", "schema": schema}}
    return found


def _form(model: ServedModel) -> Json:
    """The multipart form of one model; an input that may be inline may be a file as well."""
    binary = {"type": "string", "contentMediaType": "application/octet-stream"}
    properties: Json = {name: binary if kind == FILE else {"type": "string"} for name, kind in model.fields.items()}
    return _closed(model, properties)


def _object(model: ServedModel) -> Json:
    kinds: Json = {"string": {"type": "string"}, "object": {"type": ["object", "array", "string"]}}
    return _closed(model, {name: kinds[kind] for name, kind in model.fields.items()})


def _closed(model: ServedModel, properties: Json) -> Json:
    return {
        "type": "object",
        "title": model.name,
        "properties": {**properties, MODEL: {"const": model.name}},
        "required": list(model.inputs),
        "additionalProperties": False,
    }


def _example_object(model: ServedModel) -> Json:
    """Generated values; of a long object only a few keys."""
    example: Json = {}
    for name, modality in model.predictor.modalities.items():
        text = modality.example(np.random.default_rng(0)).decode()
        if model.fields[name] == "object":
            example[name] = dict(list(json.loads(text).items())[:SHOWN_KEYS])
        else:
            example[name] = text
    return example


def _example_answer(model: ServedModel) -> Json:
    labels = model.predictor.manifest.labels
    even = round(1 / len(labels), 4)
    return {
        "value": {
            "model": model.name,
            "predictions": [{"label": label, "probability": even} for label in labels],
            "modalities": {name: {"label": labels[0], "confidence": even} for name in model.inputs},
            "timing": {"decode": 5.1, "queue": 2.0, "infer": 8.2, "total": 16.4},
        }
    }
