"""The client of a Triton server, for threads."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from bundle.modalities import Array
from clients.answer import Answer
from clients.errors import ClientError
from clients.options import Options
from clients.payloads import Payload
from clients.questions import Result
from clients.retrying import Retries
from clients.triton.asking import Asking, Sample
from clients.triton.request import Request, Served
from clients.triton.samples import Prepared
from clients.triton.shared_wire import SharedWire, wire_of

Value = TypeVar("Value")


class Client:
    """Asks a Triton server for predictions. A context manager; safe to use from several threads.

    Samples are decoded and normalised here, with the bundle's own preprocessing; the server runs the graph; answers and
    errors are those of `clients.rest.Client`. `ClientError` other than of single samples is raised where the server
    cannot be reached (`ConnectionFailed`), does not answer in time (`TimedOut`), does not know the model (`NotFound`),
    or offers it of another bundle (`UnexpectedAnswer`).

    Args:
        url: `http://localhost:8000` or `grpc://localhost:8001`; `https` and `grpcs` are the same over TLS.
        bundle: the folder of the bundle that the model was exported from.
        model: its name on the server; None takes the bundle's.
        timeout: seconds that an inference may take, also in the server's queue. Over HTTP they are those until the
            answer begins, and as many again until it has ended.
        retries: further attempts where the connection broke or the server was busy; see `clients.retrying.Retries`.
        headers: sent with every request, such as a proxy's `Authorization`.
        connections: of HTTP, how many at once; further threads wait for one to be free.
        shared_memory: hand inputs over in the memory of this machine, which a server elsewhere cannot see.

    Raises:
        InvalidCall: no such address, no bundle, or a number out of range.
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
        self._wire = wire_of(asking.address, timeout, sent, connections)
        self._shared = SharedWire(self._wire) if shared_memory else None

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections, and give shared memory back; the client cannot be used afterwards."""
        (self._wire if self._shared is None else self._shared).close()

    def predict(
        self, *, require_all: bool | None = None, abstain_below: float | None = None, **payloads: Payload
    ) -> Answer:
        """The prediction for one sample; arguments and errors are those of `clients.rest.Client.predict`.

        Its timing is that of this side: `decode` here, `infer` from sending to the answer, the server's queue included.

        Raises:
            ClientError: one of the tree in `clients.errors`.
        """
        [result] = self.predict_batch([payloads], require_all=require_all, abstain_below=abstain_below)
        if isinstance(result, ClientError):
            raise result
        return result

    def predict_batch(
        self, samples: Sequence[Sample], *, require_all: bool | None = None, abstain_below: float | None = None
    ) -> list[Result]:
        """The predictions for many samples, as many in a request as the model takes.

        Returns:
            For each sample, in order, its answer, or as a value the error that `predict` would have raised for it.

        Raises:
            ClientError: a request as a whole failed; there are no results then.
        """
        options = Options(None, require_all, abstain_below)
        prepared = self._asking.prepare(samples, options)
        results: dict[int, Result] = {
            place: found for place, found in enumerate(prepared) if isinstance(found, ClientError)
        }
        if len(results) < len(prepared):
            served = self._served()
            for places in self._asking.groups(prepared, served):
                batch = [found for place in places if isinstance(found := prepared[place], Prepared)]
                asked, request = self._asking.request(batch, served, options)
                outputs = self._again(lambda request=request: self._infer(request))  # type: ignore[misc]
                results.update(zip(places, self._asking.samples.read(asked, outputs), strict=True))
        return [results[place] for place in range(len(samples))]

    def _served(self) -> Served:
        known = self._asking.served
        if known is not None:
            return known
        return self._asking.recognise(self._again(lambda: self._wire.config(self._asking.model)))

    def _infer(self, request: Request) -> dict[str, Array]:
        return self._wire.infer(request) if self._shared is None else self._shared.infer(request)

    def _again(self, question: Callable[[], Value]) -> Value:
        """Ask as often as is allowed."""
        attempt = 0
        while True:
            try:
                return question()
            except ClientError as error:
                pause = self._asking.pause(attempt, error)
                if pause is None:
                    raise
            time.sleep(pause)
            attempt += 1
