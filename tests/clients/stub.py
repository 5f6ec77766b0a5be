"""A stand-in for the service's batch call: answers by the contract, and as its settings say."""

import json
from collections import defaultdict
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import httpx

from tests.clients.service import ANSWER

Items = list[dict[str, bytes]]


def parts_of(request: httpx.Request) -> list[tuple[str, bytes]]:
    """Name and content of each part of a form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    found = []
    for part in BytesParser(policy=HTTP).parsebytes(head + request.content).iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(name, str) and isinstance(content, bytes)
        found.append((name, content))
    return found


class Batches:
    """Each sample's text becomes the label of its answer; the text "bad" is a problem; counts what is asked."""

    def __init__(self, most: int = 64, heaviest: int = 1_000_000) -> None:
        self.most, self.heaviest = most, heaviest
        self.busy: Callable[[str], bool] = lambda text: False
        self.sizes: list[int] = []
        self.models: list[str | None] = []
        self.options: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        assert request.url.path == "/v1/predict/batch"
        items, options = self._read(request)
        model = options.pop("model", None)
        self.options.append(options)
        self.sizes.append(len(items))
        self.models.append(model)
        if len(items) > self.most or len(request.content) > self.heaviest:
            return httpx.Response(413, json={"detail": "too much", "type": "urn:infobridge:problem:too-large"})
        content = {"items": [self._item(item) for item in items], "timing": {"receive": 1.0, "total": 2.0}}
        return httpx.Response(200, json=content, headers={"X-Request-ID": f"batch-{len(self.sizes)}"})

    def _read(self, request: httpx.Request) -> tuple[Items, dict[str, str]]:
        found: dict[int, dict[str, bytes]] = defaultdict(dict)
        options = {}
        for name, content in parts_of(request):
            if "." not in name:
                options[name] = content.decode()
                continue
            index, field = name.split(".")
            found[int(index)][field] = content
        assert sorted(found) == list(range(len(found)))
        return [found[index] for index in range(len(found))], options

    def _item(self, item: dict[str, bytes]) -> dict[str, Any]:
        text = item["text"].decode()
        if text == "slow" or (text == "late" and self.sizes[-1] > 1):
            return {"problem": {"type": "urn:infobridge:problem:too-slow", "status": 504, "detail": "late"}}
        if self.busy(text):
            return {"problem": {"type": "urn:infobridge:problem:overloaded", "status": 503, "detail": "busy"}}
        if text == "bad":
            problem = {"type": "urn:infobridge:problem:invalid-input", "status": 422, "detail": "bad", "field": "text"}
            return {"problem": problem}
        answer = json.loads(json.dumps(ANSWER))
        answer["predictions"][0]["label"] = text
        return {"answer": answer}
