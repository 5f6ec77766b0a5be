"""What the service answers, as values: a prediction with its timing, and the models there are."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bundle.answer import Prediction
from clients.errors import UnexpectedAnswer

Value = TypeVar("Value")


@dataclass(frozen=True)
class Timing:
    """Where the server's time went, in milliseconds."""

    decode: float
    """Decoding and preprocessing the payloads."""
    queue: float
    """Waiting for others."""
    infer: float
    """Running the graph, for the whole batch."""
    total: float
    """From the start of the request to its answer."""
    receive: float = 0.0
    """Receiving the request's body; 0 where the server does not tell."""


@dataclass(frozen=True)
class Answer(Prediction):
    """The prediction for one sample: every class, what each modality says and adds, what to note, and the timing."""

    timing: Timing
    request_id: str | None = None
    """What the server's log calls the request."""


@dataclass(frozen=True)
class ModelInput:
    """One input of a model."""

    name: str
    """The keyword of `Client.predict`."""
    modality: str
    shape: tuple[int | None, ...]
    """Shape of the preprocessed sample; None for an axis that varies."""
    dtype: str


@dataclass(frozen=True)
class Expected:
    """What was measured when the model was exported."""

    accuracy: float
    """Share of test samples whose most probable class was right, 0..1."""
    low: float
    high: float
    """Ends of its 95 % interval."""
    samples: int


@dataclass(frozen=True)
class Model:
    """One model that the server offers."""

    name: str
    labels: tuple[str, ...]
    inputs: tuple[ModelInput, ...]
    provider: str
    """What runs it, such as `CPUExecutionProvider`."""
    may_be_missing: tuple[str, ...] = ()
    """Inputs that a sample may lack, so long as one is left."""
    expectations: dict[str, Expected] = field(default_factory=dict)
    """The accuracy to expect with some inputs only, by their names (`audio`, `audio+video`), and with all."""
    abstain_below: float | None = None
    """Answers of less probability abstain, where a request does not say otherwise."""


@dataclass(frozen=True)
class Models:
    """Every model that the server offers."""

    models: tuple[Model, ...]


@dataclass(frozen=True)
class BatchItem:
    """What the server says about one sample of many: one of the two."""

    answer: Answer | None = None
    problem: dict[str, Any] | None = None


@dataclass(frozen=True)
class Batch:
    """One item for each sample, in order."""

    items: tuple[BatchItem, ...]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made once: making one takes a hundred times as long as reading an answer."""
    return TypeAdapter(kind)


def parse(kind: type[Value], content: bytes) -> Value:
    """An answer's JSON as a value; fields that are not known here are ignored.

    Raises:
        UnexpectedAnswer: it is not JSON, or lacks a field.
    """
    try:
        hashable: Any = kind
        value: Value = _adapter(hashable).validate_json(content)
        return value
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnexpectedAnswer(
            f"expected the service's answer in JSON, received something else ({where or 'content'}: {first['msg']})"
        ) from None
