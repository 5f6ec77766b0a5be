"""One bundle ready to answer."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from bundle.errors import InvalidInput
from bundle.manifest import FILE as MANIFEST
from bundle.modalities import Payload
from bundle.predictor import Predictor
from bundle.work import Work
from serving.examples import Examples
from serving.fields import Field, Fields
from serving.journey import Journey, milliseconds
from serving.lane import Batched, Direct, Lane
from serving.metrics import ModelNumbers
from serving.schema import FILE, Answer, InputDescription, ModelDescription, Timing, field_type
from serving.settings import Settings


class ServedModel:
    """A loaded bundle and its way to answers. Needs a running event loop.

    Args:
        predictor: the bundle.
        settings: sizes of the queue, and limits of the payloads.
        threads: threads that decode, shared with other bundles.
        batch: samples that an inference may join, as measured.
        seconds: that a sample takes, as measured; without it, the first crowd is let in whatever it has to wait.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: Settings,
        threads: ThreadPoolExecutor,
        batch: int = 1,
        seconds: float = 0.0,
    ) -> None:
        self.name = predictor.manifest.name
        self.inputs = predictor.manifest.modalities
        self.predictor = predictor
        self.batch = batch
        self.fields = {name: field_type(modality) for name, modality in predictor.modalities.items()}
        """How a request carries each input: `file`, `string` or `object`."""
        self.numbers = ModelNumbers(predictor.running, lambda: self._lane.waiting)
        self.examples = Examples(predictor)
        self._limits = settings.limits()
        self._require_all = settings.require_all
        self._sha256 = hashlib.sha256((predictor.folder / MANIFEST).read_bytes()).hexdigest()
        sizes = self.numbers.sizes
        self._lane: Lane
        if batch > 1:
            self._lane = Batched(predictor, threads, settings, batch, sizes)
        else:
            self._lane = Direct(predictor, (threads, settings.decode_threads), settings.queue_length, sizes)
        self._lane.pace = seconds

    async def close(self) -> None:
        """Stop answering."""
        await self._lane.close()

    def delay(self) -> float:
        """Seconds that a sample would wait now, by what the latest ones took."""
        return self._lane.delay()

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

    async def answer(self, fields: Fields, journey: Journey) -> Answer:
        """The answer for one sample, held to the request's own `abstain_below`; stages are added to the journey.

        Raises:
            InvalidInput: a field that cannot be used.
            QueueFull: too many samples wait.
        """
        answered = await self._lane.run(self.payloads(fields.inputs), Work(self._limits))
        for stage in ("decode", "queue", "infer"):
            journey.add(stage, getattr(answered, stage))
        prediction = answered.prediction.abstaining(fields.options.abstain_below)
        self.numbers.count(prediction)
        timing = Timing(
            receive=milliseconds(journey.stages.get("receive", 0.0)),
            decode=milliseconds(answered.decode),
            queue=milliseconds(answered.queue),
            infer=milliseconds(answered.infer),
            total=milliseconds(journey.elapsed()),
        )
        return Answer(**vars(prediction), timing=timing)

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
            may_be_missing=() if self._require_all or len(self.inputs) == 1 else self.inputs,
            calibration=manifest.calibration,
            expectations=manifest.expectations,
            shifts=manifest.shifts,
            abstain_below=manifest.abstain_below,
            provenance=manifest.provenance,
            schema_version=manifest.schema_version,
            provider=self.predictor.provider,
            device=self.predictor.running.device,
            precision=self.predictor.running.precision,
            nodes=self.predictor.running.nodes,
            batch=self.batch,
            examples=self.examples.inputs,
            sha256=self._sha256,
        )
