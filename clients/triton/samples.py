"""What a Triton client does by itself: samples to the graph's inputs, and its outputs to answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bundle.answer import COALITIONS, LOGITS, SHARE, SHIFT, Prediction, answers
from bundle.errors import BundleError, InvalidInput
from bundle.manifest import FILE, sha256
from bundle.modalities import Array
from bundle.preparing import Arrays, Preparation
from clients.answer import Answer, Timing
from clients.errors import AnswerError, InvalidCall, UnexpectedAnswer
from clients.options import Options
from clients.payloads import Payload, parts
from clients.questions import Result
from clients.triton.refusals import refused
from clients.upload import Upload

CHUNK = 1 << 20


@dataclass(frozen=True)
class Prepared:
    """One sample, ready for the graph."""

    arrays: Arrays
    began: float
    """`perf_counter` seconds."""
    ended: float


@dataclass(frozen=True)
class Asked:
    """Some samples of one request."""

    batch: Sequence[Prepared]
    options: Options
    id: str
    """What the server may log it as."""
    sent: float
    """`perf_counter` seconds."""


class Samples:
    """The preprocessing of a bundle, and the way back. Safe to call from several threads.

    Args:
        folder: the bundle that the server's model was exported from.

    Raises:
        InvalidCall: it is no bundle, or must not be used.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._preparation = Preparation(folder)
            self.digest = sha256(folder / FILE)
        except (BundleError, OSError) as error:
            raise InvalidCall(f"bundle: {error}") from None
        self.manifest = self._preparation.manifest
        names, classes = self.manifest.modalities, len(self.manifest.labels)
        shapes: dict[str, tuple[int, ...]] = {LOGITS: (classes,), COALITIONS: (1 << len(names), classes)}
        shapes |= {SHARE + name: (classes,) for name in names} | {SHIFT + name: () for name in names}
        self.outputs = shapes
        """Shape of each output of the graph, without the batch axis."""

    def prepare(self, payloads: Mapping[str, Payload], options: Options) -> Prepared:
        """One sample decoded and normalised here, as the service does it there.

        Raises:
            InvalidCall: no payload, a file that cannot be read, or a value that is no payload.
            AnswerError: a payload that cannot be used, an unknown input, or one that is missing although all are
                required: of the types, and with the fields, of the service's own refusals.
        """
        began = perf_counter()
        sample = {name: _content(part) for name, (_, part) in parts(payloads)}
        names = self.manifest.modalities
        lacking = [name for name in names if name not in sample]
        try:
            if options.require_all and lacking and set(sample) <= set(names):
                expected = f"all of {', '.join(names)}, since none may be missing (require_all)"
                raise InvalidInput(expected, f"only {', '.join(sample)}", lacking[0])
            arrays = self._preparation.prepare(sample)
        except InvalidInput as error:
            raise refused(error) from None
        return Prepared(arrays, began, perf_counter())

    def feed(self, batch: Sequence[Prepared]) -> Arrays:
        """The graph's inputs for some samples."""
        return self._preparation.feed([sample.arrays for sample in batch])

    def read(self, asked: Asked, found: Mapping[str, Array]) -> list[Result]:
        """The answers to some samples, in order; for one whose numbers are not finite, its error.

        Raises:
            UnexpectedAnswer: outputs that are not those of the bundle's graph.
        """
        answered = perf_counter()
        outputs = self._checked(found, len(asked.batch))
        present = self._preparation.present([sample.arrays for sample in asked.batch])
        results: list[Result] = []
        for sample, said in zip(asked.batch, self._predictions(outputs, present), strict=True):
            if isinstance(said, AnswerError):
                results.append(said)
                continue
            decode, infer = sample.ended - sample.began, answered - asked.sent
            timing = Timing(decode=1e3 * decode, queue=0.0, infer=1e3 * infer, total=1e3 * (decode + infer))
            own = said.abstaining(asked.options.abstain_below)
            values = {field.name: getattr(own, field.name) for field in fields(own)}
            results.append(Answer(**values, timing=timing, request_id=asked.id))
        return results

    def _predictions(self, outputs: Arrays, present: NDArray[np.bool_]) -> list[Prediction | AnswerError]:
        """Of all at once; where one has no finite numbers, of each alone."""
        try:
            return [*answers(self.manifest, outputs, present)]
        except InvalidInput as error:
            if len(present) == 1:
                return [refused(error)]
        rows = [slice(row, row + 1) for row in range(len(present))]
        return [
            self._predictions({name: array[row] for name, array in outputs.items()}, present[row])[0] for row in rows
        ]

    def _checked(self, found: Mapping[str, Array], count: int) -> Arrays:
        outputs = {}
        for name, shape in self.outputs.items():
            array = found.get(name)
            if array is None or array.size != count * int(np.prod(shape, dtype=np.int64)):
                came = "none" if array is None else f"shape {array.shape}"
                raise UnexpectedAnswer(f"expected output {name!r} of shape {(count, *shape)}, received {came}")
            outputs[name] = array.reshape(count, *shape)
        return outputs


def _content(part: bytes | Upload) -> bytes:
    """A file is read whole: it is decoded here."""
    if isinstance(part, bytes):
        return part
    try:
        chunks = []
        while chunk := part.read(CHUNK):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        part.close()
