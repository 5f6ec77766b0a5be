"""From what a caller has (a file, bytes, a text, numbers) to the parts of a multipart request."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clients.errors import InvalidCall

Payload = bytes | str | os.PathLike[str] | Mapping[str, float | None] | Sequence[float | None]
"""bytes and paths are uploaded as files; a `str` is a path, except that `text` is the text itself; numbers by column
or in column order become JSON, in which None and NaN are missing values."""

Part = tuple[str | None, bytes]
"""File name (None for a part that is no file) and content, as httpx takes them."""

TEXT = "text"
MODEL = "model"
INLINE_LIMIT = 64 * 1024
"""Bytes of a text or of numbers that are sent as a plain part; what is longer is uploaded, for which servers allow
more."""


def parts(payloads: Mapping[str, Payload], model: str | None) -> list[tuple[str, Part]]:
    """The parts of a request, every file already read.

    Raises:
        InvalidCall: no payload, a file that cannot be read, or a value that cannot be sent; names the input.
    """
    if not payloads:
        raise InvalidCall("expected a payload for every input of a model, such as image=... and text=..., found none")
    found = [(name, _part(name, payload)) for name, payload in payloads.items()]
    return found if model is None else [*found, (MODEL, (None, _encoded(MODEL, model)))]


def _part(name: str, payload: Payload) -> Part:
    match payload:
        case bytes() | bytearray() | memoryview():
            return name, bytes(payload)
        case str() if name == TEXT:
            return _inline(name, _encoded(name, payload))
        case str() | os.PathLike():
            return name, _read(name, payload)
        case Mapping() | Sequence() | np.ndarray():
            return _inline(name, _numbers(name, payload))
        case _:
            raise InvalidCall(f"{name}: expected bytes, a path, a text or numbers, found {type(payload).__name__}")


def _inline(name: str, content: bytes) -> Part:
    return (None if len(content) <= INLINE_LIMIT else name), content


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidCall(f"{name}: expected text in Unicode, found half a surrogate pair") from None


def _read(name: str, path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidCall(f"{name}: expected a file to read, {os.fspath(path)!r} is none ({reason})") from None


def _numbers(name: str, values: Mapping[str, Any] | Sequence[Any] | np.ndarray[Any, Any]) -> bytes:
    """JSON of one number for each column; the order of a mapping does not matter."""
    try:
        plain = (
            {str(key): _number(value) for key, value in values.items()}
            if isinstance(values, Mapping)
            else [_number(value) for value in values]
        )
        return json.dumps(plain, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidCall(f"{name}: expected finite numbers or None, found others ({error})") from None


def _number(value: Any) -> Any:
    number = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(number, float) and np.isnan(number) else number
