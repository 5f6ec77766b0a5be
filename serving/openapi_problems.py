"""Errors in the OpenAPI document: the one schema of problem details, and what each status may say."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from serving.problems import HEADERS, KINDS, MEDIA_TYPE, NAMESPACE, title_of
from serving.schema import Problem

Json = dict[str, Any]
SHAPE: Json = TypeAdapter(Problem).json_schema(mode="serialization")
PROBLEM: Json = {
    **SHAPE,
    "properties": {
        name: next((option for option in schema.get("anyOf", []) if option.get("type") != "null"), schema)
        | {"description": schema.get("description", "")}
        for name, schema in SHAPE["properties"].items()
    },
    "additionalProperties": False,
}
"""Fields that are not known are left out, never null."""
for _schema in PROBLEM["properties"].values():
    _schema.pop("default", None)
HEADER_SCHEMAS: dict[str, Json] = {
    "Retry-After": {"description": "Seconds to wait before trying again", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to send a key", "schema": {"type": "string"}},
}


def responses(kinds: Sequence[str]) -> Json:
    """The responses of these kinds of problems, by status."""
    return {str(status): _response(status, kinds) for status in sorted({KINDS[kind] for kind in kinds})}


def _response(status: int, kinds: Sequence[str]) -> Json:
    ours = [kind for kind in kinds if KINDS[kind] == status]
    headers = {
        name: schema for name, schema in HEADER_SCHEMAS.items() if any(name in HEADERS.get(kind, {}) for kind in ours)
    }
    exact: Json = {"type": {"enum": [NAMESPACE + kind for kind in ours]}, "status": {"const": status}}
    found: Json = {
        "description": "; ".join(map(title_of, ours)),
        "content": {
            MEDIA_TYPE: {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": exact}]},
                "examples": {kind: {"value": _example(kind)} for kind in ours},
            }
        },
    }
    return found | ({"headers": headers} if headers else {})


def _example(kind: str) -> Json:
    return {"type": NAMESPACE + kind, "title": title_of(kind), "status": KINDS[kind], "detail": "what is wrong"}
