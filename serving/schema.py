"""What the service answers, as values: the prediction, the description of a bundle, and the problem."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from bundle.answer import DOCUMENTED, ClassProbability, ModalityAnswer
from bundle.manifest import Calibration, Expectation
from bundle.modalities import Modality

FILE = "file"
INLINE = {"text": "string", "genomics": "object"}
"""Modalities whose payload may be written into the request; every other one must be an uploaded file."""


def field_type(modality: Modality) -> str:
    """How a request carries this modality: `file`, `string` or `object`."""
    return INLINE.get(modality.name, FILE)


@dataclass(frozen=True)
class Timing:
    """Where the time went, in milliseconds."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    receive: float
    """Receiving and reading the request; in a batch, the whole request of all samples."""
    decode: float
    """Decoding and preprocessing the payloads."""
    queue: float
    """Waiting for a thread, and for others to share the inference."""
    infer: float
    """Running the graph, for the whole batch."""
    total: float
    """From the start of the request to its answer, the upload included."""


@dataclass(frozen=True)
class Answer:
    """The prediction for one sample, and what each modality says and adds: `bundle.answer.Prediction`, timed."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    model: str
    """Name of the bundle that answered."""
    predictions: tuple[ClassProbability, ...]
    """Every class with its calibrated probability, most probable first. The first is the predicted class."""
    modalities: dict[str, ModalityAnswer]
    """For each modality that was given, what it says alone and what it adds to the others."""
    missing: tuple[str, ...]
    """Modalities of the model that were not given, and that the answer does without."""
    baseline: float
    """The probability of the predicted class where no modality is given at all. With the contributions of the
    modalities it adds up to the probability of that class."""
    disagreement: bool
    """Whether modalities would choose different classes alone: then look at both before relying on the answer."""
    unusual: tuple[str, ...]
    """Modalities whose `shift` is over 1: they are unlike the training data, and no number here can be relied on."""
    abstain: bool
    """Whether the predicted class is less probable than the request's `abstain_below`, or else the bundle's own, asks
    for: better ask a person. The answer is complete all the same."""
    timing: Timing


@dataclass(frozen=True)
class BatchTiming:
    """Where the time of a batch went, in milliseconds."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    receive: float
    """Receiving and reading the request."""
    total: float
    """From the start of the request to its answer, the upload included."""


@dataclass(frozen=True)
class Problem:
    """Problem details (RFC 9457): the one shape of every error."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    type: str
    """A stable name of the kind of problem."""
    title: str
    """The kind of problem, in words."""
    status: int
    """The HTTP status, once more."""
    detail: str
    """What is wrong with this request."""
    field: str | None = None
    """The field at fault, if it is known."""
    expected: str | None = None
    """What would have been accepted."""
    received: str | None = None
    """What came instead, in words; never the value itself."""
    possible: tuple[str, ...] | None = None
    """What could have been chosen: names of models, or pairings of fields."""


@dataclass(frozen=True)
class Answered:
    """A sample of a batch that has an answer."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """A sample of a batch that has none."""

    problem: Problem


@dataclass(frozen=True)
class BatchAnswer:
    """An answer or a problem for each sample."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    items: tuple[Answered | Failed, ...]
    """In the order of the request."""
    timing: BatchTiming


@dataclass(frozen=True)
class InputDescription:
    """One field of a request."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    name: str
    """Name of the field."""
    modality: str
    field: str
    """How a request carries it: `file` (upload only), `string` or `object` (also inline)."""
    shape: tuple[int | None, ...]
    """Shape of the preprocessed sample; null for an axis that varies."""
    dtype: str


@dataclass(frozen=True)
class ModelDescription:
    """One loaded bundle."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    name: str
    labels: tuple[str, ...]
    inputs: tuple[InputDescription, ...]
    may_be_missing: tuple[str, ...]
    """Inputs that a sample may lack, so long as one is left; none where the server requires all of them."""
    calibration: Calibration
    """Temperatures that the probabilities were calibrated with; 1 where there are none."""
    expectations: dict[str, Expectation]
    """The accuracy that was measured with some inputs only, by their names (`audio`, `audio+video`), and with all."""
    shifts: dict[str, float]
    """For each input, the distance from the training data beyond which it is called unusual: a `shift` of 1."""
    abstain_below: float | None
    """Answers whose predicted class is less probable than this abstain, where a request does not say otherwise."""
    provenance: dict[str, Any]
    """Dataset, method, configuration and measured metrics, as recorded by the export."""
    schema_version: int
    provider: str
    """The ONNX Runtime execution provider really in use."""
    device: str
    """What it runs on: `cpu`, or the GPU with its number and name."""
    precision: str
    """What the encoders compute in: `fp32`, `tf32`, `fp16`, `bf16` or `int8`."""
    nodes: dict[str, int]
    """How many of the graph's nodes each execution provider took; a GPU's leaves sizes of arrays to the CPU."""
    batch: int
    """Samples that one inference joins at most, as measured at start."""
    examples: tuple[tuple[str, ...], ...]
    """The ready-made samples under /v1/models/{name}/examples/{index}: which inputs each of them has."""
    sha256: str
    """Of the bundle's manifest, which holds the hash of every other file: one hash for the whole bundle."""


@dataclass(frozen=True)
class RequestLimits:
    """What a request may have."""

    __pydantic_config__: ClassVar[ConfigDict] = DOCUMENTED

    body: int
    """Bytes of a request."""
    part: int
    """Bytes of a part that is not a file, and of a JSON body."""
    batch_items: int
    """Samples of one request to /v1/predict/batch."""


@dataclass(frozen=True)
class Models:
    """Every loaded bundle."""

    models: tuple[ModelDescription, ...]
    limits: RequestLimits
