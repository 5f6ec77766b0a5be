"""How samples reach the graph: each in one thread all the way, or joined into batches where that pays."""

import asyncio
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from bundle.answer import Prediction
from bundle.modalities import Payload
from bundle.predictor import Arrays, Predictor
from bundle.work import Work
from serving.batcher import MicroBatcher, QueueFull
from serving.buckets import bucket
from serving.metrics import Histogram
from serving.settings import Settings

WEIGHT = 0.1
"""Of the newest sample in the average of what one takes."""
Payloads = Mapping[str, Payload]


@dataclass(frozen=True)
class Answered:
    """A prediction, and where its time went, in seconds."""

    prediction: Prediction
    decode: float
    queue: float
    infer: float
    """Of the whole batch."""


class Lane(Protocol):
    """One bundle's way from payloads to predictions."""

    pace: float
    """Seconds that a sample takes, by the latest ones; whoever measured it before may set it."""

    @property
    def waiting(self) -> int:
        """Samples that wait for a thread."""

    def delay(self) -> float:
        """Seconds that a sample would wait now, by what the latest ones took."""

    async def run(self, payloads: Payloads, work: Work) -> Answered:
        """The answer for one sample.

        Raises:
            InvalidInput: a payload that cannot be used.
            QueueFull: too many samples wait.
        """

    async def close(self) -> None:
        """Stop; what still waits is cancelled."""


class Direct:
    """Decodes and infers in one thread: on hardware that repays no batches, every further step would only cost.

    Args:
        predictor: the bundle.
        threads: threads, shared with other bundles, and their number.
        queue_length: most samples that may wait.
        sizes: counts samples of each inference, always 1 here.
    """

    def __init__(
        self, predictor: Predictor, threads: tuple[ThreadPoolExecutor, int], queue_length: int, sizes: Histogram
    ) -> None:
        self._predictor = predictor
        self._threads, self._count = threads
        self._queue_length = queue_length
        self._sizes = sizes
        self._lock = threading.Lock()
        self._waiting = 0
        self.pace = 0.0
        """Seconds that a sample takes, by the latest ones; whoever measured it before may set it."""

    @property
    def waiting(self) -> int:
        """Samples that wait for a thread."""
        return self._waiting

    def delay(self) -> float:
        """Seconds that a sample would wait now."""
        return self._waiting * self.pace / self._count

    async def run(self, payloads: Payloads, work: Work) -> Answered:
        """The answer for one sample. Cancelled, it drops what waits and stops what runs."""
        with self._lock:
            if self._waiting >= self._queue_length:
                raise QueueFull
            self._waiting += 1
        future = self._threads.submit(self._answer, payloads, work, perf_counter())
        try:
            answered = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            work.cancel()
            if future.cancel():
                with self._lock:
                    self._waiting -= 1
            raise
        finally:
            del future  # an error in it has this frame in its trace: a circle that would keep the payloads
        self._sizes.observe(1)
        self.pace = _average(self.pace, answered.decode + answered.infer)
        return answered

    def _answer(self, payloads: Payloads, work: Work, submitted: float) -> Answered:
        with self._lock:
            self._waiting -= 1
        began = perf_counter()
        arrays = self._predictor.prepare(payloads, work)
        decoded = perf_counter()
        [prediction] = self._predictor.infer([arrays], work)
        return Answered(prediction, decoded - began, began - submitted, perf_counter() - decoded)

    async def close(self) -> None:
        """Nothing of its own is left: the threads are shared."""


@dataclass(frozen=True)
class _Decoded:
    arrays: Arrays
    began: float
    ended: float


class Batched:
    """Decodes in shared threads, and infers in one thread of its own, several samples at a time.

    Needs a running event loop.

    Args:
        predictor: the bundle.
        decoders: threads that decode, shared with other bundles.
        settings: how many may wait, and how long for others.
        most: most samples of an inference.
        sizes: counts samples of each inference.
    """

    def __init__(
        self, predictor: Predictor, decoders: ThreadPoolExecutor, settings: Settings, most: int, sizes: Histogram
    ) -> None:
        self._predictor = predictor
        self._decoders = decoders
        self._sizes = sizes
        self.pace = 0.0
        """Seconds that a sample takes, by the latest ones; whoever measured it before may set it."""
        self._decoding = 0
        self._decoding_pace = 0.0
        self._settings = settings
        admitted = settings.queue_length + settings.decode_threads  # who has been let in is not refused later
        lengths = bucket(predictor)
        self._batcher = MicroBatcher[_Decoded, Prediction](
            self._infer, lambda decoded: lengths(decoded.arrays), most, settings.batch_wait_ms / 1000, admitted
        )
        self._batcher.expected = self._coming
        self._batcher.start()

    @property
    def waiting(self) -> int:
        """Samples that wait, for a thread that decodes or for the graph."""
        return self._undecoded() + self._batcher.waiting

    def delay(self) -> float:
        """Seconds that a sample would wait now."""
        decoding = self._undecoded() * self._decoding_pace / self._settings.decode_threads
        return decoding + self._batcher.waiting * self.pace

    def _undecoded(self) -> int:
        return max(0, self._decoding - self._settings.decode_threads)

    async def run(self, payloads: Payloads, work: Work) -> Answered:
        """The answer for one sample. Cancelled, it drops what waits; a batch that runs is others' too."""
        if self.waiting >= self._settings.queue_length:
            raise QueueFull
        submitted = perf_counter()
        self._decoding += 1
        try:
            try:
                decoded = await asyncio.wrap_future(self._decoders.submit(self._decode, payloads, work))
            finally:
                self._decoding -= 1
            done = await self._batcher.submit(decoded)
        except asyncio.CancelledError:
            work.cancel()
            raise
        taken = decoded.ended - decoded.began
        self._decoding_pace = _average(self._decoding_pace, taken)
        self.pace = _average(self.pace, done.ran / done.size)
        return Answered(done.result, taken, decoded.began - submitted + done.queued, done.ran)

    def _coming(self) -> int:
        return self._decoding + self._batcher.waiting

    def _decode(self, payloads: Payloads, work: Work) -> _Decoded:
        began = perf_counter()
        arrays = self._predictor.prepare(payloads, work)
        return _Decoded(arrays, began, perf_counter())

    def _infer(self, batch: Sequence[_Decoded]) -> list[Prediction]:
        self._sizes.observe(len(batch))
        return self._predictor.infer([decoded.arrays for decoded in batch])

    async def close(self) -> None:
        """Stop the batcher."""
        await self._batcher.close()


def _average(before: float, newest: float) -> float:
    """The average that follows the newest values; 0 before there was any."""
    return before + WEIGHT * (newest - before) if before > 0 else newest


def retry_after(delay: float) -> dict[str, str]:
    """The header that tells a caller when to come back."""
    return {"Retry-After": str(max(1, math.ceil(delay)))}
