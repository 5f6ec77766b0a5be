"""A service for whole tables, in place of the network: each row's text becomes its label."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from tests.clients.service import ANSWER, MODELS, problem
from tests.clients.stub import Batches, parts_of

NAMES = ("model", "require_all", "abstain_below")
Rule = Callable[[str, int], httpx.Response | Exception | None]
"""From a text, and how often it was asked before, to what happens instead of an answer."""


class Tables(Batches):
    """Answers `/v1/predict` and `/v1/predict/batch`; counts how often each text was asked, and how many at once."""

    def __init__(self, rule: Rule = lambda text, before: None, lives: bool = True) -> None:
        super().__init__()
        self.rule, self.lives = rule, lives
        self.asked: Counter[str] = Counter()
        self.keys: set[str | None] = set()
        self.said: list[dict[str, str]] = []
        """What each request asks beside its samples."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.keys.add(request.headers.get("authorization"))
        if request.url.path == "/v1/models":
            if not self.lives:
                raise httpx.ConnectError("refused")
            return httpx.Response(200, json=MODELS)
        sent = parts_of(request)
        self.said.append({name: content.decode() for name, content in sent if name in NAMES})
        texts = [content.decode() for name, content in sent if name.endswith("text")]
        for text in texts:
            self.asked[text] += 1
        happened = [self.rule(text, self.asked[text] - 1) for text in texts]
        for instead in happened:
            if isinstance(instead, Exception):
                raise instead
            if instead is not None:
                return instead
        if request.url.path == "/v1/predict/batch":
            return super().__call__(request)
        if texts == ["bad"]:
            return problem(422, {"X-Request-ID": "r-bad"}, type="urn:infobridge:problem:invalid-input")
        answer: dict[str, Any] = json.loads(json.dumps(ANSWER))
        answer["predictions"][0]["label"] = texts[0]
        return httpx.Response(200, json=answer, headers={"X-Request-ID": f"r-{texts[0]}"})
