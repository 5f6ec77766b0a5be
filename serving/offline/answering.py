"""From rows to cells of answers: several threads decode, one infers, and every row gets an answer or an error."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from bundle.errors import BundleError, InvalidInput, TableError
from bundle.predictor import Arrays, Predictor
from bundle.selfcheck import selfcheck
from bundle.tables.answers import Cells, answered, failed, kind_of
from bundle.tables.table import Row
from bundle.work import Work
from serving.buckets import Bucket, bucket
from serving.offline.payloads import read
from serving.offline.plan import Plan

INTERNAL = "internal-error"


@dataclass(frozen=True)
class _Ahead:
    """A row that is being decoded."""

    part: int
    row: Row
    future: "Future[Arrays | _Refused]"


@dataclass(frozen=True)
class _Refused:
    """The cells of a row that has an error."""

    cells: Cells


class Answering:
    """Answers the parts of a plan, in order.

    Which samples share an inference depends on the rows of their part alone and never on time, so that a part is the
    same whoever answers it, and whenever. At most some batches of rows are in memory.

    Args:
        plan: the run.
        predictor: its bundle.
        batch: samples of an inference.
        threads: that decode.
    """

    def __init__(self, plan: Plan, predictor: Predictor, batch: int, threads: int) -> None:
        self._plan, self._predictor = plan, predictor
        self._batch, self._threads = batch, threads
        self._bucket = bucket(predictor)
        self._ahead = 2 * (batch + threads)

    def parts(self, numbers: Iterable[int]) -> Iterator[tuple[int, list[tuple[Row, Cells]]]]:
        """The rows of each part with the cells of their answers; the next part is decoded meanwhile.

        Raises:
            SelfCheckFailed: the bundle does not work any more.
            TableError: the table cannot be read any more.
        """
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        try:
            for number, group in groupby(self._decoded(numbers, pool), lambda ahead: ahead.part):
                yield number, self._answer(group)
        finally:
            pool.shutdown(cancel_futures=True)

    def _decoded(self, numbers: Iterable[int], pool: ThreadPoolExecutor) -> Iterator[_Ahead]:
        """Rows in their order, so many ahead that neither the decoders nor the graph wait."""
        rows = ((number, row) for number in numbers for row in self._plan.rows(number))
        waiting: deque[_Ahead] = deque()
        for number, row in rows:
            waiting.append(_Ahead(number, row, pool.submit(self._prepare, row)))
            if len(waiting) > self._ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()

    def _prepare(self, row: Row) -> "Arrays | _Refused":
        rules = self._plan.rules
        try:
            sample = self._plan.columns.sample(row.sound())
            if not sample:
                raise TableError(f"expected a payload for one or more of {', '.join(self._predictor.modalities)}")
            for name in self._predictor.modalities if rules.require_all else ():
                if name not in sample:
                    wanted = f"all of {', '.join(self._predictor.modalities)}, since none may be missing (require_all)"
                    raise InvalidInput(wanted, f"only {', '.join(sample)}", name)
            payloads = read(sample, self._plan.columns.folder, rules.file_limit)
            return self._predictor.prepare(payloads, Work(rules.limits))
        except BundleError as error:
            return _Refused(failed(kind_of(error), str(error)))
        except Exception as error:  # a decoder met what nobody foresaw: the fault of this row alone
            return _Refused(failed(INTERNAL, f"the row cannot be decoded ({type(error).__name__})"))

    def _answer(self, group: Iterable[_Ahead]) -> list[tuple[Row, Cells]]:
        rows: list[Row] = []
        known: dict[int, Cells] = {}
        alike: dict[Bucket, list[tuple[int, Arrays]]] = {}
        for place, ahead in enumerate(group):
            rows.append(ahead.row)
            prepared = ahead.future.result()
            if isinstance(prepared, _Refused):
                known[place] = prepared.cells
                continue
            key = self._bucket(prepared)
            waiting = alike.setdefault(key, [])
            waiting.append((place, prepared))
            if len(waiting) == self._batch:
                known |= self._infer(alike.pop(key))
        for waiting in alike.values():
            known |= self._infer(waiting)
        return [(row, known[place]) for place, row in enumerate(rows)]

    def _infer(self, samples: list[tuple[int, Arrays]]) -> dict[int, Cells]:
        """The cells of each sample, by place; where they fail together each is asked alone, so that others do not."""
        try:
            predictions = self._predictor.infer([arrays for _, arrays in samples])
        except Exception as error:  # what ONNX Runtime raises is not known
            if len(samples) > 1:
                return {place: cells for sample in samples for place, cells in self._infer([sample]).items()}
            return {samples[0][0]: self._failed(error)}
        below = self._plan.rules.abstain_below
        return {
            place: answered(prediction.abstaining(below))
            for (place, _), prediction in zip(samples, predictions, strict=True)
        }

    def _failed(self, error: Exception) -> Cells:
        """What a sample gets that the graph fails on, unless it would fail on any."""
        if isinstance(error, InvalidInput):
            return failed(kind_of(error), str(error))
        selfcheck(self._predictor)
        return failed(INTERNAL, f"the model failed on this row ({type(error).__name__})")
