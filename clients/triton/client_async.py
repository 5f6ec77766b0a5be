"""The client of a Triton server, for asynchronous code."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from bundle.modalities import Array
from clients.answer import Answer
from clients.errors import ClientError
from clients.options import Options
from clients.payloads import Payload
from clients.questions import Result
from clients.retrying import Retries
from clients.triton.asking import Asking, Sample
from clients.triton.over_grpc import AsyncGrpcWire
from clients.triton.over_http import AsyncHttpWire
from clients.triton.request import Request, Served
from clients.triton.samples import Prepared
from clients.triton.shared_wire import SharedWire, wire_of

Value = TypeVar("Value")


class AsyncClient:
    """Asks a Triton server for predictions. An asynchronous context manager; the tasks of one event loop may share it.

    Samples are decoded in threads, so that the loop goes on. Arguments and errors are those of `clients.triton.Client`.
    """

    def __init__(
        self,
        url: str,
        bundle: Path,
        model: str | None = None,
        timeout: float = 60.0,
        retries: int | Retries = 2,
        *,
        headers: Mapping[str, str] | None = None,
        connections: int = 8,
        shared_memory: bool = False,
    ) -> None:
        self._asking = asking = Asking(url, bundle, model, timeout, retries)
        sent = headers or {}
        self._wire: AsyncHttpWire | AsyncGrpcWire = (
            AsyncGrpcWire(asking.address, timeout, sent)
            if asking.address.grpc
            else AsyncHttpWire(asking.address, timeout, sent, connections)
        )
        self._shared = None
        if shared_memory:
            self._shared = SharedWire(wire_of(asking.address, timeout, sent, connections))

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections, and give shared memory back; the client cannot be used afterwards."""
        if self._shared is not None:
            await anyio.to_thread.run_sync(self._shared.close)
        await self._wire.close()

    async def predict(
        self, *, require_all: bool | None = None, abstain_below: float | None = None, **payloads: Payload
    ) -> Answer:
        """The prediction for one sample; see `Client.predict`."""
        [result] = await self.predict_batch([payloads], require_all=require_all, abstain_below=abstain_below)
        if isinstance(result, ClientError):
            raise result
        return result

    async def predict_batch(
        self, samples: Sequence[Sample], *, require_all: bool | None = None, abstain_below: float | None = None
    ) -> list[Result]:
        """The predictions for many samples; see `Client.predict_batch`."""
        options = Options(None, require_all, abstain_below)
        prepared = await anyio.to_thread.run_sync(self._asking.prepare, samples, options)
        results: dict[int, Result] = {
            place: found for place, found in enumerate(prepared) if isinstance(found, ClientError)
        }
        if len(results) < len(prepared):
            served = await self._served()
            for places in self._asking.groups(prepared, served):
                batch = [found for place in places if isinstance(found := prepared[place], Prepared)]
                asked, request = self._asking.request(batch, served, options)
                outputs = await self._again(lambda request=request: self._infer(request))  # type: ignore[misc]
                results.update(zip(places, self._asking.samples.read(asked, outputs), strict=True))
        return [results[place] for place in range(len(samples))]

    async def _infer(self, request: Request) -> dict[str, Array]:
        """The outputs; inputs are copied into shared memory in a thread, which also waits for the answer."""
        if self._shared is None:
            return await self._wire.infer(request)
        return await anyio.to_thread.run_sync(self._shared.infer, request)

    async def _served(self) -> Served:
        known = self._asking.served
        if known is not None:
            return known
        return self._asking.recognise(await self._again(lambda: self._wire.config(self._asking.model)))

    async def _again(self, question: Callable[[], Awaitable[Value]]) -> Value:
        """Ask as often as is allowed."""
        attempt = 0
        while True:
            try:
                return await question()
            except ClientError as error:
                pause = self._asking.pause(attempt, error)
                if pause is None:
                    raise
            await anyio.sleep(pause)
            attempt += 1
