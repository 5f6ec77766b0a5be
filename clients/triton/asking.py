"""What both Triton clients share: everything but the waiting."""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from clients.errors import ClientError, InvalidCall, NotFound
from clients.options import Options
from clients.payloads import Payload
from clients.retrying import Retries
from clients.triton.request import Address, Request, Served
from clients.triton.samples import Asked, Prepared, Samples

Sample = Mapping[str, Payload]


class Asking:
    """One bundle, asked of one server.

    Raises:
        InvalidCall: no address, no bundle, or a number out of range.
    """

    def __init__(self, url: str, bundle: Path, model: str | None, timeout: float, retries: int | Retries) -> None:
        if not timeout > 0:
            raise InvalidCall(f"timeout: expected seconds over 0, found {timeout!r}")
        self.address = Address(url)
        self.samples = Samples(bundle)
        self.model = self.samples.manifest.name if model is None else model
        self.timeout = timeout
        self.retries = retries if isinstance(retries, Retries) else Retries(number=retries)
        self.served: Served | None = None
        """What the server said that it offers; None where it was not asked yet."""

    def recognise(self, config: Mapping[str, object]) -> Served:
        """What the server offers, by the model's configuration.

        Raises:
            UnexpectedAnswer: nothing of this bundle.
        """
        self.served = Served.read(config, self.model, self.samples.digest)
        return self.served

    def prepare(self, samples: Sequence[Sample], options: Options) -> list[Prepared | ClientError]:
        """Each sample ready for the graph, or why it is not."""
        prepared: list[Prepared | ClientError] = []
        for sample in samples:
            try:
                prepared.append(self.samples.prepare(sample, options))
            except ClientError as error:
                prepared.append(error)
        return prepared

    def groups(self, prepared: Sequence[Prepared | ClientError], served: Served) -> list[list[int]]:
        """Places of the samples that go together: as many as the server takes at once."""
        usable = [place for place, sample in enumerate(prepared) if isinstance(sample, Prepared)]
        return [usable[start : start + served.max_batch] for start in range(0, len(usable), served.max_batch)]

    def request(self, batch: Sequence[Prepared], served: Served, options: Options) -> tuple[Asked, Request]:
        """The request for some samples, to be sent now."""
        name = uuid.uuid4().hex
        outputs = tuple(self.samples.outputs)
        request = Request(self.model, served.version, self.samples.feed(batch), outputs, self.timeout, name)
        return Asked(batch, options, name, perf_counter()), request

    def pause(self, attempt: int, error: ClientError) -> float | None:
        """Seconds until the next attempt, or None where there is none."""
        if isinstance(error, NotFound):
            self.served = None  # it may offer another version now, of which the next call learns
        return self.retries.pause(attempt, error)
