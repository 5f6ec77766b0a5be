"""Requests in the OpenAPI document: the forms and JSON objects that each loaded model takes, with examples."""

import json
from collections.abc import Sequence
from typing import Any

from bundle.modalities import Genomics, Modality
from bundle.modalities.genomics import LARGEST, MISSING
from serving.examples import BINARY
from serving.fields import JSON, MULTIPART
from serving.model import ServedModel
from serving.openapi_choices import choices
from serving.options import ABSTAIN_BELOW, MODEL, NAMES, REQUIRE_ALL, SPELT
from serving.schema import FILE
from serving.settings import Settings

Json = dict[str, Any]
MOST_COLUMNS = 500
"""Columns that are listed one by one."""
FEW_COLUMNS = 20
"""Columns of which the document can say that one at least must have a value."""
SHOWN_KEYS = 3
MEDIA_TYPES = {
    "audio": "audio/wav, audio/flac, audio/ogg, audio/mpeg, video/mp4, video/webm, video/x-flv, video/mpeg",
    "video": "video/mp4, video/quicktime, video/webm, video/x-matroska, video/x-msvideo, video/x-flv, video/mpeg",
    "image": "image/png, image/jpeg, image/webp, image/bmp, image/gif, image/tiff",
    "pathology": "image/png, image/jpeg, image/tiff, image/bmp, image/webp, image/jp2",
}
WORD = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"
"""Something that is not white space, and no NUL."""
STRICTLY = "Refuse a sample that lacks an input of its model. A server that requires all inputs does so without it."
BELOW = "Answers whose predicted class is less probable abstain; without it the bundle's own `abstain_below` counts."
NO = [spelling for spelling, meant in SPELT.items() if not meant]
FORM_OPTIONS: Json = {
    REQUIRE_ALL: {"enum": list(SPELT), "description": STRICTLY},
    ABSTAIN_BELOW: {"type": "number", "minimum": 0, "maximum": 1, "description": BELOW},
}
JSON_OPTIONS: Json = FORM_OPTIONS | {REQUIRE_ALL: {"type": "boolean", "description": STRICTLY}}
DIGITS = r"^[+-]?([0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12})([eE]-[0-9]{1,2})?$"
"""A number as it stands in a CSV cell; none of them is over `LARGEST`."""
NOTHING = rf"^\s*({'|'.join(''.join(f'[{letter}{letter.upper()}]' for letter in word) for word in MISSING)})\s*$"
"""A missing value as it stands there."""
FIGURE: Json = {
    "anyOf": [{"type": "number", "minimum": -LARGEST, "maximum": LARGEST}, {"type": "string", "pattern": DIGITS}]
}
CELL: Json = {"anyOf": [*FIGURE["anyOf"], {"type": "null"}, {"type": "string", "pattern": NOTHING}]}


def predict_body(models: Sequence[ServedModel], settings: Settings) -> Json:
    """The body of a request for one sample."""
    forms = [_form(model, models, settings) for model in models]
    examples = {
        model.name: {
            "summary": " + ".join(model.inputs),
            "description": f"`{_curl(model)}`",
            "externalValue": f"/v1/models/{model.name}/examples/0",
        }
        for model in models
    }
    content: Json = {
        MULTIPART: {"schema": {"oneOf": forms}, "encoding": _encoding(models), "examples": examples},
    }
    inline = _inline(models, settings)
    if inline:
        content[JSON] = {
            "schema": {"oneOf": [_object(model, models, settings) for model in inline]},
            "examples": {model.name: {"value": _example(model)} for model in inline},
        }
    return {"required": True, "content": content}


def batch_body(models: Sequence[ServedModel], settings: Settings) -> Json:
    """The body of a request for many samples."""
    inputs = list(dict.fromkeys(name for model in models for name in model.inputs))
    names = "|".join([*inputs, *NAMES])
    numbers = "|".join(map(str, range(settings.batch_items)))
    form: Json = {
        "type": "object",
        "properties": {MODEL: {"enum": [model.name for model in models]}, **FORM_OPTIONS},
        "patternProperties": {f"^({numbers})[.]({names})$": {"type": "string"}},
        "additionalProperties": False,
        "not": {"propertyNames": {"enum": list(NAMES)}},
    }
    content: Json = {MULTIPART: {"schema": form}}
    inline = _inline(models, settings)
    if inline:
        items = {
            "type": "array",
            "minItems": 1,
            "maxItems": settings.batch_items,
            "items": {"description": "What /v1/predict takes as a JSON body; anything else gets a problem of its own"},
        }
        content[JSON] = {
            "schema": {
                "type": "object",
                "properties": {"items": items, MODEL: {"enum": [model.name for model in inline]}, **JSON_OPTIONS},
                "required": ["items"],
                "additionalProperties": False,
            },
            "examples": {model.name: {"value": {"items": [_example(model)]}} for model in inline},
        }
    return {"required": True, "content": content}


def sample_answer(model: ServedModel) -> Json:
    """What an answer of this model looks like."""
    labels = model.predictor.manifest.labels
    even = round(1 / len(labels), 4)
    own = {"label": labels[0], "confidence": even, "contribution": 0.0, "shift": 0.5}
    return {
        "model": model.name,
        "predictions": [{"label": label, "probability": even} for label in labels],
        "modalities": dict.fromkeys(model.inputs, own),
        "missing": [],
        "baseline": even,
        "disagreement": False,
        "unusual": [],
        "abstain": False,
        "timing": {"receive": 0.6, "decode": 5.1, "queue": 2.0, "infer": 8.2, "total": 16.4},
    }


def _inline(models: Sequence[ServedModel], settings: Settings) -> list[ServedModel]:
    """Models that take JSON: those with inputs that are no files, or without any file where all are required."""
    enough = all if settings.require_all else any
    return [model for model in models if enough(kind != FILE for kind in model.fields.values())]


def _encoding(models: Sequence[ServedModel]) -> Json:
    found: Json = {}
    for model in models:
        for name, modality in model.predictor.modalities.items():
            if modality.name in MEDIA_TYPES:
                found[name] = {"contentType": MEDIA_TYPES[modality.name]}
            elif isinstance(modality, Genomics):
                found[name] = {"contentType": JSON}
    return found


def _form(model: ServedModel, models: Sequence[ServedModel], settings: Settings) -> Json:
    binary: Json = {"type": "string", "contentMediaType": BINARY}
    properties = {
        name: binary if model.fields[name] == FILE else _part(modality, settings)
        for name, modality in model.predictor.modalities.items()
    }
    return _closed(model, properties | FORM_OPTIONS, choices(model, models, properties, settings.require_all, NO))


def _object(model: ServedModel, models: Sequence[ServedModel], settings: Settings) -> Json:
    values = {
        name: _value(modality, settings)
        for name, modality in model.predictor.modalities.items()
        if model.fields[name] != FILE
    }
    return _closed(model, values | JSON_OPTIONS, choices(model, models, values, settings.require_all, [False]))


def _part(modality: Modality, settings: Settings) -> Json:
    """An input that is no file, as a part of a form: there, a list would stand for several parts."""
    return _by_name(modality.columns) if isinstance(modality, Genomics) else _value(modality, settings)


def _value(modality: Modality, settings: Settings) -> Json:
    """An input that is no file."""
    if not isinstance(modality, Genomics):
        return {"type": "string", "minLength": 1, "maxLength": settings.characters, "pattern": WORD}
    columns = modality.columns
    in_order: Json = {
        "type": "array",
        "minItems": len(columns),
        "maxItems": len(columns),
        "items": CELL,
        "contains": FIGURE,
    }
    return {"oneOf": [_by_name(columns), in_order]}


def _by_name(columns: Sequence[str]) -> Json:
    by_name: Json = {"type": "object", "minProperties": 1}
    if len(columns) <= MOST_COLUMNS:
        by_name |= {"properties": dict.fromkeys(columns, CELL), "additionalProperties": False}
    else:
        by_name |= {"additionalProperties": CELL, "maxProperties": len(columns)}
    if len(columns) <= FEW_COLUMNS:
        by_name["anyOf"] = [{"required": [name], "properties": {name: FIGURE}} for name in columns]
    return by_name


def _closed(model: ServedModel, properties: Json, choices: list[Json]) -> Json:
    return {
        "type": "object",
        "title": model.name,
        "properties": {**properties, MODEL: {"const": model.name}},
        "anyOf": choices,
        "additionalProperties": False,
    }


def _example(model: ServedModel) -> Json:
    """The generated sample but for its files, and of a long object only a few keys."""
    example: Json = {}
    for name, kind in model.fields.items():
        if kind != FILE:
            text = model.examples.complete[name].decode()
            example[name] = text if kind == "string" else _short(json.loads(text))
    return example | {MODEL: model.name}


def _short(values: Json) -> Json:
    return dict(list(values.items())[:SHOWN_KEYS])


def _curl(model: ServedModel) -> str:
    """The command that asks about one's own files."""
    parts = []
    for name, kind in model.fields.items():
        value = {FILE: f"@{name}.file", "string": '"a text"'}.get(kind, f"@{name}.json")
        parts.append(f"-F {name}={value}")
    return f"curl {' '.join(parts)} -F {MODEL}={model.name} …/v1/predict"
