"""JSON values to frozen dataclasses, strictly: nothing missing, nothing unknown, nothing converted."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bundle.errors import ManifestError

Value = TypeVar("Value")
LONGEST = 60
"""Characters of an offending value that a message repeats."""


def build(kind: type[Value], values: Mapping[str, Any], what: str) -> Value:
    """An instance of the dataclass `kind` from JSON values; `what` begins the message.

    Raises:
        ManifestError: a field is missing, unknown, of another type, or refused by the dataclass itself; one line.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(dict(values)), strict=True)
    except ValidationError as error:
        raise ManifestError(f"{what}: {_first_problem(error)}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"{what}: expected JSON values, found others ({one_line(error)})") from None


def parse(content: bytes, what: str) -> Mapping[str, Any]:
    """A JSON object from UTF-8; `what` begins the message.

    Raises:
        ManifestError: not JSON, with numbers that JSON does not have, or no object; one line.
    """
    try:
        found = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{what}: expected JSON, found what cannot be read ({one_line(error)})") from None
    if not isinstance(found, Mapping):
        raise ManifestError(f"{what}: expected a JSON object, found {type(found).__name__}")
    return found


def one_line(message: object) -> str:
    """The message with every run of white space, line breaks included, made one space."""
    return " ".join(str(message).split())


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    prefix = f"{where}: " if where else ""
    kind = first["type"]
    if kind == "missing":
        return f"{prefix}expected a value, found nothing"
    if kind == "value_error":
        return f"{prefix}{one_line(first['ctx']['error'])}"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{prefix}expected no field of this name, found one"
    found = one_line(json.dumps(first["input"], default=str, ensure_ascii=False))
    found = found if len(found) <= LONGEST else found[: LONGEST - 1] + "…"
    return f"{prefix}{one_line(first['msg'])}, found {found}"
