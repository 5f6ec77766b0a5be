"""Whoever answers parts: one bundle, loaded once, and its answers as the content of files."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bundle.execution import Execution, Target
from bundle.predictor import ON_CPU, Predictor
from bundle.selfcheck import selfcheck
from bundle.tables.answers import ERROR
from bundle.tables.table import is_parquet
from bundle.tables.writing import csv_rows, parquet_rows
from serving.measuring import batch_size
from serving.memory import return_large_blocks
from serving.offline.answering import Answering
from serving.offline.plan import Plan

MOST = 64
"""Samples of an inference that are tried where none are given."""


@dataclass(frozen=True)
class Means:
    """What a worker works with; how fast it is depends on it, and which answers it gives does not."""

    threads: int = 1
    """That decode."""
    inference_threads: int | None = None
    """Of one inference; None takes every core."""
    execution: Execution = ON_CPU
    """Where the graph may run, and how."""


@dataclass(frozen=True)
class Found:
    """What the first worker settles for a run, since the last digits of answers depend on it."""

    batch: int
    """Samples of an inference."""
    arithmetic: str
    """What the answers are computed in, and by whom: `fp32 by CPUExecutionProvider`."""
    device: str
    """`cpu`, or the GPU with its number."""
    refused: dict[Target, str]
    """Where it was asked to run before, and why it cannot."""


@dataclass(frozen=True)
class Part:
    """The answers of one part of the table, as they are kept."""

    number: int
    rows: int
    errors: int
    """Rows of it that are errors."""
    content: bytes
    """A Parquet file, or the lines of a CSV file without its header."""


class Worker:
    """Answers parts.

    Args:
        plan: the run.
        means: what to work with.

    Raises:
        BundleError: the bundle must not be used, or cannot run where it was asked to.
    """

    def __init__(self, plan: Plan, means: Means) -> None:
        return_large_blocks()
        self._plan, self._threads = plan, means.threads
        self.predictor = Predictor(plan.bundle, means.execution, means.inference_threads)
        selfcheck(self.predictor)

    @property
    def arithmetic(self) -> str:
        """What the answers are computed in, and by whom: `fp32 by CPUExecutionProvider`."""
        running = self.predictor.running
        return f"{running.precision} by {running.provider}"

    def found(self, batch: int | None) -> "Found":
        """What this worker's machine says of the bundle.

        Args:
            batch: samples of an inference; None measures how many repay.
        """
        measured = batch_size(self.predictor, MOST) if batch is None else batch
        return Found(measured, self.arithmetic, self.predictor.running.device, dict(self.predictor.refused))

    def parts(self, numbers: Iterable[int], batch: int) -> Iterator[Part]:
        """The parts of these numbers, one after the other.

        Raises:
            SelfCheckFailed, TableError: as `Answering.parts`.
        """
        plan = self._plan
        for number, rows in Answering(plan, self.predictor, batch, self._threads).parts(numbers):
            content = io.BytesIO()
            parquet = is_parquet(plan.out)
            writing = parquet_rows(content, plan.table, plan.layout) if parquet else csv_rows(content, plan.layout)
            with writing as put:
                for row, cells in rows:
                    put(row, cells)
            errors = sum(cells[ERROR] is not None for _, cells in rows)
            yield Part(number, len(rows), errors, content.getvalue())
