"""What an error's answer says, whoever sent it, as a `Problem`."""

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from bundle.checking import one_line
from clients.errors import Problem

REQUEST_ID = "X-Request-ID"


def read_problem(response: httpx.Response) -> Problem:
    """The problem of a whole request; of an answer that is no problem, at least its status."""
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError):
        content = None
    fields = content if isinstance(content, dict) else {}
    return from_fields({"detail": response.reason_phrase} | fields, response.status_code, response.headers)


def from_fields(fields: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> Problem:
    """The problem that a JSON object states; fields of other types than they should have are left out."""
    texts = {
        name: one_line(fields[name])
        for name in ("type", "title", "field", "expected", "received")
        if isinstance(fields.get(name), str)
    }
    possible = fields.get("possible")
    return Problem(
        status,
        one_line(fields.get("detail") or fields.get("error") or "an error without a reason"),
        possible=tuple(map(one_line, possible)) if isinstance(possible, list) else (),
        retry_after=seconds(headers.get("Retry-After")),
        request_id=headers.get(REQUEST_ID),
        **texts,
    )


def seconds(header: str | None) -> float | None:
    """Retry-After, which is a number of seconds or a date; None for anything else."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
