"""The limit on bodies, around applications that misbehave."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.body_limit import BodyLimit

LIMIT = 10


def call(app: ASGIApp, chunks: list[bytes], headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any] | str]:
    """Status and content of the answer to one request."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(chunks)}
        for index, chunk in enumerate(chunks)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    asyncio.run(app({"type": "http", "headers": pairs}, receive, send))  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    body = sent[1]["body"].decode()
    return sent[0]["status"], json.loads(body) if body.startswith("{") else body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def swallow(scope: Scope, receive: Receive, send: Send) -> None:
    """Makes a 500 of every error, as frameworks do."""
    try:
        await echo(scope, receive, send)
    except Exception:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"unexpected"})


@pytest.mark.parametrize("app", [echo, swallow])
def test_a_body_within_the_limit_passes(app: ASGIApp) -> None:
    assert call(BodyLimit(app, LIMIT), [b"12345", b"67890"], {"content-length": "10"}) == (200, "1234567890")


@pytest.mark.parametrize("app", [echo, swallow])
@pytest.mark.parametrize("headers", [{}, {"content-length": "3"}, {"content-length": "11"}, {"content-length": "x"}])
def test_a_body_over_the_limit_is_413_whatever_the_application_makes_of_it(
    app: ASGIApp, headers: dict[str, str]
) -> None:
    status, content = call(BodyLimit(app, LIMIT), [b"12345", b"678901"], headers)
    assert status == 413
    assert isinstance(content, dict) and content["type"] == "urn:infobridge:problem:too-large"


def test_other_errors_of_the_application_pass_the_limit() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        call(BodyLimit(fail, LIMIT), [b""])


def test_other_kinds_of_connection_pass() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(BodyLimit(app, LIMIT)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
