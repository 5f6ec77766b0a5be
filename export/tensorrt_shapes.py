"""What an engine is made fast for, and with that the shapes that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from bundle.engines import USUAL_BATCH, ranges
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
    usual_batch: int = USUAL_BATCH
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

    def ranges(self, modalities: Mapping[str, Modality]) -> dict[str, Range]:
        """For each input of the graph, `present` among them.

        Raises:
            ExportError: more usual tokens than a text can have.
        """
        longest = min(
            (one.max_length for one in modalities.values() if isinstance(one, Text)), default=self.usual_tokens
        )
        if self.usual_tokens is not None and longest is not None and self.usual_tokens > longest:
            raise ExportError(f"usual-tokens: expected at most the {longest} of a text here, found {self.usual_tokens}")
        return ranges(modalities, self.max_batch, self.usual_batch, self.usual_tokens)
