"""The shapes that an engine takes: from batches of one sample up, and from the shortest text to the longest."""

from collections.abc import Mapping
from dataclasses import dataclass

from bundle.answer import PRESENT
from bundle.modalities import Modality, Text
from bundle.plan import Range
from export.errors import ExportError


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is made fast for.

    Raises:
        ExportError: numbers that do not fit together.
    """

    max_batch: int = 32
    """Most samples of one inference; Triton's `max_batch` must not be over it."""
    usual_batch: int = 8
    """Samples that the engine is fastest for."""
    usual_tokens: int | None = None
    """Tokens of a text that the engine is fastest for; not given, the most there can be."""

    def __post_init__(self) -> None:
        if not 1 <= self.usual_batch <= self.max_batch:
            raise ExportError(
                f"an engine: expected 1 <= usual-batch <= max-batch, found {self.usual_batch} and {self.max_batch}"
            )
        if self.usual_tokens is not None and self.usual_tokens < 1:
            raise ExportError(f"an engine: expected 1 token or more as usual-tokens, found {self.usual_tokens}")


def ranges(modalities: Mapping[str, Modality], asked: EngineOptions) -> dict[str, Range]:
    """For each input of the graph, `present` among them.

    Raises:
        ExportError: more usual tokens than a text can have.
    """
    batches = (1, asked.usual_batch, asked.max_batch)
    found: dict[str, Range] = {}
    for name, modality in modalities.items():
        sizes = [_sizes(modality, size, asked) for size in modality.shape]
        least, usual, most = ((batch, *(size[number] for size in sizes)) for number, batch in enumerate(batches))
        found[name] = Range(least, usual, most)
    rows = [(batch, len(modalities)) for batch in batches]
    return {**found, PRESENT: Range(*rows)}


def _sizes(modality: Modality, size: int | None, asked: EngineOptions) -> tuple[int, int, int]:
    """The smallest, usual and largest size of one axis of a sample."""
    if size is not None:
        return size, size, size
    assert isinstance(modality, Text), f"{modality.name} has an axis that varies: say here how far"
    usual = modality.max_length if asked.usual_tokens is None else asked.usual_tokens
    if usual > modality.max_length:
        raise ExportError(f"usual-tokens: expected at most the {modality.max_length} of a text here, found {usual}")
    return 1, usual, modality.max_length
