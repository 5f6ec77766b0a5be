"""From a request to its fields: multipart parts or the keys of a JSON object, as they were sent."""

import json
from dataclasses import dataclass
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from bundle.errors import InvalidInput
from serving.form import MAX_PARTS, read_form
from serving.options import NAMES, Options
from serving.problems import problem

MULTIPART = "multipart/form-data"
JSON = "application/json"
IDENTITY = "identity"
LONGEST_NAME = 80


@dataclass(frozen=True)
class Field:
    """The content of one field."""

    content: Any
    """Bytes of a part, or the value of a JSON key."""
    uploaded: bool
    """Whether it came as a file."""


@dataclass(frozen=True)
class Fields:
    """What one request asks."""

    inputs: dict[str, Field]
    options: Options


async def read_fields(request: Request, part_limit: int) -> Fields:
    """Read a whole request for one sample.

    Raises:
        ProblemError: 400, 413 or 415 for a body that cannot be read.
        InvalidInput: a field given twice, an option of another value than its own, or a constant that is not JSON.
    """
    _, pairs = await read_pairs(request, part_limit, MAX_PARTS)
    return gather(pairs)


async def read_pairs(request: Request, part_limit: int, max_parts: int) -> tuple[str, list[tuple[str, Field]]]:
    """The media type of a request, and its fields in order.

    Raises:
        ProblemError: 400, 413 or 415 for a body that cannot be read.
        InvalidInput: a key of JSON given twice, or a constant that is not JSON.
    """
    content_type = request.headers.get("content-type", "")
    media_type = parse_options_header(content_type)[0].decode("latin-1")
    encoding = request.headers.get("content-encoding", IDENTITY)
    if encoding.strip().lower() != IDENTITY:
        raise problem(
            "unsupported-content-type",
            "a body is taken as it is, without a Content-Encoding",
            expected="no Content-Encoding",
            received="a Content-Encoding",
        )
    if media_type == MULTIPART:
        parts = await read_form(content_type, request.stream(), part_limit, max_parts)
        return media_type, [(part.name, Field(part.content, part.uploaded)) for part in parts]
    if media_type == JSON:
        content = parse_json(await _read_limited(request, part_limit))
        return media_type, [(name, Field(value, uploaded=False)) for name, value in content.items()]
    raise problem(
        "unsupported-content-type",
        f"a prediction takes {MULTIPART} or {JSON}",
        expected=f"{MULTIPART} or {JSON}",
        received="another content type" if media_type else "no content type",
    )


def gather(pairs: list[tuple[str, Field]]) -> Fields:
    """The fields of one sample.

    Raises:
        InvalidInput: a field given twice, or an option whose value is none of its own.
    """
    inputs: dict[str, Field] = {}
    for name, field in pairs:
        if name in inputs:
            raise InvalidInput("each field once", "the field twice", shorten(name))
        inputs[name] = field
    said = {name: inputs.pop(name).content for name in NAMES if name in inputs}
    return Fields(inputs, Options.read(said))


def shorten(name: str) -> str:
    """A field's name, fit for an error message."""
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…"


async def _read_limited(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise problem("too-large", f"a JSON body may have at most {limit:,} bytes; upload files instead")
    return bytes(body)


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object as a dictionary.

    Raises:
        ProblemError: 400 for what is not a JSON object.
        InvalidInput: NaN or infinity, which JSON does not have, or a key given twice.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_unique)
        if b"\\ud" in body.lower():
            json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise problem("malformed-body", "the body is not valid JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise problem("malformed-body", "the body is not a JSON object of fields")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidInput("each key once", "a key twice", shorten(name))
        found[name] = value
    return found


def _refuse(name: str) -> float:
    raise InvalidInput("numbers or null", f"{name}, which is not JSON")
