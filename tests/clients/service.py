"""A service that answers as the test says, in place of the network."""

import asyncio
import json
from collections.abc import Callable, Sequence
from email.parser import BytesParser
from email.policy import HTTP

import httpx

from clients.answer import Answer, Model
from clients.payloads import Payload
from clients.questions import Result, Sample
from clients.rest import Client
from clients.rest_async import AsyncClient
from clients.retrying import Retries

ANSWER = {
    "model": "image-text",
    "predictions": [{"label": "star", "probability": 0.75}, {"label": "[red]circle", "probability": 0.25}],
    "modalities": {
        "image": {"label": "star", "confidence": 0.9, "contribution": 0.5, "shift": 1.25},
        "text": {"label": "[red]circle", "confidence": 0.4, "contribution": -0.125, "shift": None},
    },
    "missing": [],
    "baseline": 0.375,
    "disagreement": True,
    "unusual": ["image"],
    "abstain": False,
    "timing": {"receive": 0.5, "decode": 1.5, "queue": 2.0, "infer": 3.0, "total": 7.25},
}
MODELS = {
    "models": [
        {
            "name": "image-text",
            "labels": ["star", "circle"],
            "inputs": [
                {"name": "image", "modality": "image", "field": "file", "shape": [3, 16, 16], "dtype": "uint8"},
                {"name": "text", "modality": "text", "field": "string", "shape": [None], "dtype": "int64"},
            ],
            "may_be_missing": ["image", "text"],
            "calibration": {"fused": 1.0, "shares": {}, "coalitions": {}},
            "expectations": {
                "image": {"accuracy": 0.75, "low": 0.7, "high": 0.8, "samples": 100},
                "image+text": {"accuracy": 0.875, "low": 0.8, "high": 0.9, "samples": 100},
            },
            "shifts": {"image": 10.0},
            "abstain_below": 0.5,
            "provenance": {},
            "schema_version": 2,
            "provider": "CPUExecutionProvider",
        }
    ]
}

Reply = httpx.Response | Exception


class Awaited:
    """An asynchronous client that is waited for, so that one test serves both."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    def predict(
        self,
        *,
        model: str | None = None,
        require_all: bool | None = None,
        abstain_below: float | None = None,
        **payloads: Payload,
    ) -> Answer:
        asked = self.client.predict(model=model, require_all=require_all, abstain_below=abstain_below, **payloads)
        return asyncio.run(asked)

    def predict_batch(
        self,
        samples: Sequence[Sample],
        model: str | None = None,
        *,
        require_all: bool | None = None,
        abstain_below: float | None = None,
    ) -> list[Result]:
        asked = self.client.predict_batch(samples, model, require_all=require_all, abstain_below=abstain_below)
        return asyncio.run(asked)

    def models(self) -> tuple[Model, ...]:
        return asyncio.run(self.client.models())

    def close(self) -> None:
        asyncio.run(self.client.close())


class Service:
    """Gives one reply after the other, the last one for ever, and keeps the requests."""

    asynchronous = False
    """Which of the two clients `client` makes."""

    def __init__(self, *replies: Reply | Callable[[], httpx.Response]) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        reply = reply if isinstance(reply, httpx.Response) else reply()
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    def client(
        self, retries: int | Retries = 2, url: str = "http://service:3000", key: str | None = None
    ) -> Client | Awaited:
        """Its pauses are as long as they can be."""
        chosen = retries if isinstance(retries, Retries) else Retries(retries, random=lambda: 1.0)
        transport = httpx.MockTransport(self)
        if self.asynchronous:
            return Awaited(AsyncClient(url, retries=chosen, transport=transport, key=key))
        return Client(url, retries=chosen, transport=transport, key=key)

    def form(self) -> dict[str, tuple[str | None, bytes]]:
        """File name and content of each part of the last request."""
        request = self.requests[-1]
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + request.content)
        found = {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(name, str) and isinstance(content, bytes) and name not in found
            found[name] = (part.get_filename(), content)
        return found


def problem(status: int, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
    content = {"type": "urn:infobridge:problem:x", "title": "X", "status": status, "detail": "it went wrong", **fields}
    return httpx.Response(
        status, content=json.dumps(content), headers={"content-type": "application/problem+json", **(headers or {})}
    )
