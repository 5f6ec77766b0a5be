"""From what a caller has (a file, bytes, a text, numbers) to the parts of a multipart request."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clients.errors import InvalidCall
from clients.upload import Upload, unreadable

Payload = bytes | str | os.PathLike[str] | Mapping[str, float | None] | Sequence[float | None]
"""bytes and paths are uploaded as files; a `str` is a path, except that `text` is the text itself; numbers by column
or in column order become JSON, in which None and NaN are missing values."""

Part = tuple[str | None, bytes | Upload]
"""File name (None for a part that is no file) and content, as httpx takes them; files of the disk are not read here."""
Parts = list[tuple[str, Part]]

TEXT = "text"
INLINE_LIMIT = 64 * 1024
"""Bytes of a text or of numbers that are sent as a plain part; what is longer is uploaded, for which servers allow
more."""


def parts(payloads: Mapping[str, Payload]) -> Parts:
    """The parts of a sample, every file found and opened once.

    Raises:
        InvalidCall: no payload, a file that cannot be read, or a value that cannot be sent; names the input.
    """
    if not payloads:
        raise InvalidCall(
            "expected a payload for one or more inputs of a model, such as image=... and text=..., found none"
        )
    return [(name, _part(name, payload)) for name, payload in payloads.items()]


def _part(name: str, payload: Payload) -> Part:
    match payload:
        case bytes() | bytearray() | memoryview():
            return name, bytes(payload)
        case str() if name == TEXT:
            return _inline(name, encoded(name, payload))
        case str() | os.PathLike():
            return name, _file(name, payload)
        case Mapping() | Sequence() | np.ndarray():
            return _inline(name, _numbers(name, payload))
        case _:
            raise InvalidCall(f"{name}: expected bytes, a path, a text or numbers, found {type(payload).__name__}")


def _inline(name: str, content: bytes) -> Part:
    return (None if len(content) <= INLINE_LIMIT else name), content


def encoded(name: str, text: str) -> bytes:
    """A text as it is sent.

    Raises:
        InvalidCall: it is none in Unicode; names the field.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidCall(f"{name}: expected text in Unicode, found half a surrogate pair") from None


def _file(name: str, path: str | os.PathLike[str]) -> bytes | Upload:
    """A regular file is streamed; a pipe can be read only once, so that it is read now."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return Path(path).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise unreadable(name, path, error) from None
    return Upload(name, path)


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
