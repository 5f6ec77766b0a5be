"""One bundle ready to answer: decoding in shared threads, inference in one thread of its own."""

import asyncio
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from bundle.answer import Prediction
from bundle.errors import InvalidInput
from bundle.modalities import Payload
from bundle.predictor import Arrays, Predictor
from serving.batcher import MicroBatcher
from serving.fields import Field
from serving.schema import FILE, Answer, InputDescription, ModelDescription, Timing, field_type
from serving.settings import Settings

MILLISECONDS = 1000.0


@dataclass(frozen=True)
class _Decoded:
    arrays: Arrays
    began: float
    ended: float


class ServedModel:
    """A loaded bundle behind a queue.

    Args:
        predictor: the bundle.
        settings: sizes of batch and queue.
        decoders: threads that decode, shared with other bundles.
    """

    def __init__(self, predictor: Predictor, settings: Settings, decoders: ThreadPoolExecutor) -> None:
        self.name = predictor.manifest.name
        self.inputs = predictor.manifest.modalities
        self.predictor = predictor
        self.fields = {name: field_type(modality) for name, modality in predictor.modalities.items()}
        """How a request carries each input: `file`, `string` or `object`."""
        self._decoders = decoders
        self._batcher = MicroBatcher[Arrays, Prediction](
            predictor.infer, self._bucket, settings.max_batch, settings.batch_wait_ms / 1000, settings.queue_length
        )

    def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        self._batcher.start()

    async def close(self) -> None:
        """Stop answering."""
        await self._batcher.close()

    def payloads(self, inputs: Mapping[str, Field]) -> dict[str, Payload]:
        """What the predictor takes.

        Raises:
            InvalidInput: a field that did not come the way its modality needs.
        """
        found: dict[str, Payload] = {}
        for name, field in inputs.items():
            content = field.content
            if self.fields.get(name) == FILE and not field.uploaded:
                came = "a text part" if isinstance(content, bytes) else "a JSON value"
                raise InvalidInput("an uploaded file (multipart/form-data, with a file name)", came, name)
            if not isinstance(content, bytes | str | dict | list):
                came = "null" if content is None else type(content).__name__
                raise InvalidInput("a string, an object or a list", came, name)
            found[name] = content
        return found

    async def answer(self, inputs: Mapping[str, Field], started: float) -> Answer:
        """The answer to one request that began at `started`, in `perf_counter` seconds.

        Raises:
            InvalidInput: a field that cannot be used.
            QueueFull: too many samples wait.
        """
        payloads = self.payloads(inputs)
        submitted = perf_counter()
        decoded = await asyncio.get_running_loop().run_in_executor(self._decoders, self._decode, payloads)
        done = await self._batcher.submit(decoded.arrays)
        timing = Timing(
            decode=_milliseconds(decoded.ended - decoded.began),
            queue=_milliseconds(decoded.began - submitted + done.queued),
            infer=_milliseconds(done.ran),
            total=_milliseconds(perf_counter() - started),
        )
        return Answer(done.result.model, done.result.predictions, done.result.modalities, timing)

    def _decode(self, payloads: Mapping[str, Payload]) -> _Decoded:
        began = perf_counter()
        arrays = self.predictor.prepare(payloads)
        return _Decoded(arrays, began, perf_counter())

    def _bucket(self, arrays: Arrays) -> Hashable:
        """Samples whose varying axes are alike, up to a factor of two, are padded and run together."""
        return tuple(
            (arrays[name].shape[axis] - 1).bit_length()
            for name, modality in self.predictor.modalities.items()
            for axis, size in enumerate(modality.shape)
            if size is None
        )

    def describe(self) -> ModelDescription:
        """What a caller may know about it."""
        manifest = self.predictor.manifest
        return ModelDescription(
            name=manifest.name,
            labels=manifest.labels,
            inputs=tuple(
                InputDescription(entry.name, entry.modality, self.fields[entry.name], entry.shape, entry.dtype)
                for entry in manifest.inputs
            ),
            calibration=manifest.calibration,
            provenance=manifest.provenance,
            schema_version=manifest.schema_version,
            provider=self.predictor.provider,
        )


def _milliseconds(seconds: float) -> float:
    return round(seconds * MILLISECONDS, 3)
