"""The same client for asynchronous code: `await AsyncClient(url).predict(image=Path("a.jpg"), text="…")`."""

from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, cast

import anyio
import httpx

from clients import network, questions
from clients.answer import Answer, Model
from clients.conversation import FAILURES, Conversation, Outcome, Pause, Value
from clients.options import Options
from clients.payloads import Payload
from clients.questions import Result, Sample
from clients.retrying import Retries


class AsyncClient:
    """Asks one service for predictions. An asynchronous context manager; many tasks of one event loop may share it.

    Arguments and errors are those of `clients.rest.Client`.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 60.0,
        retries: int | Retries = 2,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        key: str | None = None,
        connections: int = 8,
    ) -> None:
        self._manners = network.manners(url, timeout, retries)
        options = network.options(self._manners, key, connections)
        chosen = transport or network.async_transport(self._manners, options["limits"])
        self._http = httpx.AsyncClient(transport=chosen, **options)

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._http.aclose()

    async def predict(
        self,
        *,
        model: str | None = None,
        require_all: bool | None = None,
        abstain_below: float | None = None,
        **payloads: Payload,
    ) -> Answer:
        """The prediction for one sample; see `Client.predict`."""
        options = Options(model, require_all, abstain_below)
        return await self._hold(questions.predict(self._manners, payloads, options))

    async def predict_batch(
        self,
        samples: Sequence[Sample],
        model: str | None = None,
        *,
        require_all: bool | None = None,
        abstain_below: float | None = None,
    ) -> list[Result]:
        """The predictions for many samples; see `Client.predict_batch`."""
        options = Options(model, require_all, abstain_below)
        return await self._hold(questions.predict_batch(self._manners, samples, options))

    async def models(self) -> tuple[Model, ...]:
        """Every model the service offers; see `Client.models`."""
        return await self._hold(questions.models(self._manners))

    async def _hold(self, conversation: Conversation[Value]) -> Value:
        """Say what is to be said, and await."""
        outcome: Outcome = None
        with closing(conversation):
            while True:
                try:
                    step = conversation.send(outcome)
                except StopIteration as end:
                    return cast(Value, end.value)
                outcome = None
                if isinstance(step, Pause):
                    await anyio.sleep(step.seconds)
                    continue
                try:
                    outcome = await self._http.send(network.request(self._http, self._manners, step))
                except FAILURES as failure:
                    outcome = failure
