"""The HTTP client of a running service: `Client(url).predict(image=Path("a.jpg"), text="…")`."""

import time
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, cast

import httpx

from clients import network, questions
from clients.answer import Answer, Model
from clients.conversation import FAILURES, Conversation, Outcome, Pause, Value
from clients.options import Options
from clients.payloads import Payload
from clients.questions import Result, Sample
from clients.retrying import Retries


class Client:
    """Asks one service for predictions. A context manager; safe to use from several threads.

    Args:
        url: address of the service, such as `http://localhost:3000`.
        timeout: seconds that connecting, sending, and waiting for the answer may each take.
        retries: further attempts, with pauses that grow at random and are never shorter than a busy server asks for;
            what is tried again, and why that is safe, is said at `clients.retrying.Retries`, which may be given too.
        key: sent as `Authorization: Bearer`, to a service that asks for one.
        connections: how many at once, kept open and used again; further threads wait for one to be free.
        transport: instead of the network, for tests.

    Raises:
        InvalidCall: `url` is no HTTP address, `key` no key, or a number is out of range.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 60.0,
        retries: int | Retries = 2,
        transport: httpx.BaseTransport | None = None,
        *,
        key: str | None = None,
        connections: int = 8,
    ) -> None:
        self._manners = network.manners(url, timeout, retries)
        options = network.options(self._manners, key, connections)
        chosen = transport or network.transport(self._manners, options["limits"])
        self._http = httpx.Client(transport=chosen, **options)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def predict(
        self,
        *,
        model: str | None = None,
        require_all: bool | None = None,
        abstain_below: float | None = None,
        **payloads: Payload,
    ) -> Answer:
        """The prediction for one sample.

        Args:
            model: name of the model; None leaves the choice to the server, by the set of inputs.
            require_all: whether a sample that lacks an input of its model is an error (`InvalidRequest`); otherwise
                the answer does without it and says so (`missing`). A strict server takes it for an error anyway.
            abstain_below: the least probability, 0..1, of a predicted class whose answer does not `abstain`; None
                leaves it to the model.
            payloads: one or more inputs of the model, by name, such as `audio=Path("a.wav")`; see
                `clients.payloads.Payload`. Files are read while they are sent, and never held whole.

        Raises:
            InvalidCall: what is given cannot be sent, or a file changed meanwhile.
            ClientError: one of the tree in `clients.errors`.
        """
        options = Options(model, require_all, abstain_below)
        return self._hold(questions.predict(self._manners, payloads, options))

    def predict_batch(
        self,
        samples: Sequence[Sample],
        model: str | None = None,
        *,
        require_all: bool | None = None,
        abstain_below: float | None = None,
    ) -> list[Result]:
        """The predictions for many samples, in as few requests as the server's limits allow, one after the other.

        Args:
            samples: for each, its payloads by the names of the inputs, as `predict` takes them.
            model: name of the model for all of them.
            require_all: for all of them, as `predict` takes it.
            abstain_below: for all of them, as `predict` takes it.

        Returns:
            For each sample, in order, its answer, or as a value the error that `predict` would have raised for it.

        Raises:
            InvalidCall: `require_all` or `abstain_below` is of no use.
            ClientError: a request as a whole failed; there are no results then.
        """
        options = Options(model, require_all, abstain_below)
        return self._hold(questions.predict_batch(self._manners, samples, options))

    def models(self) -> tuple[Model, ...]:
        """Every model the service offers.

        Raises:
            ClientError: one of the tree in `clients.errors`.
        """
        return self._hold(questions.models(self._manners))

    def _hold(self, conversation: Conversation[Value]) -> Value:
        """Say what is to be said, and wait."""
        outcome: Outcome = None
        with closing(conversation):
            while True:
                try:
                    step = conversation.send(outcome)
                except StopIteration as end:
                    return cast(Value, end.value)
                outcome = None
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    continue
                try:
                    outcome = self._http.send(network.request(self._http, self._manners, step))
                except FAILURES as failure:
                    outcome = failure
