"""All rows of a table, so many at a time: what fails one row is its result, what would fail them all ends the run."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from bundle.errors import TableError
from bundle.tables.columns import Columns
from bundle.tables.table import Row
from clients.answer import Answer
from clients.errors import (
    AnswerError,
    ClientError,
    ConnectionFailed,
    Forbidden,
    InvalidCall,
    NotFound,
    TimedOut,
    TimeLimit,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from clients.many.journal import Journal
from clients.many.output import cells
from clients.options import Options
from clients.payloads import Payload
from clients.questions import Result
from clients.rest_async import AsyncClient
from clients.retrying import Retries

ROUNDS = 3
"""How often a row is asked, all retries each time, where a server that lives gives no answer to it."""
PAUSE = 1.0
"""Seconds before a busy server that does not say when to come back is asked again."""
EVERY_ROW = (Unauthorized, Forbidden, NotFound, UnexpectedAnswer)
"""Errors that every other row would meet too."""
Sample = dict[str, Payload]


class Progress(Protocol):
    """Is told of each row."""

    def advance(self, failed: bool) -> None:
        """One row more has come back."""


@dataclass
class Asking:
    """Asks rows and keeps what comes back."""

    client: AsyncClient
    columns: Columns
    journal: Journal
    progress: Progress
    options: Options = field(default_factory=Options)
    batch: int = 1
    """Rows of one request."""

    async def all(self, rows: Iterator[Row], concurrency: int) -> None:
        """Ask every row of `rows`, with at most `concurrency` requests at once.

        Raises:
            ClientError: the server is gone, or would refuse every row; what came back before is kept.
        """
        workers = [asyncio.create_task(self._work(rows)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, rows: Iterator[Row]) -> None:
        while group := self._group(rows):
            results = await self._patiently([sample for _, sample in group])
            for (row, _), result in zip(group, results, strict=True):
                self._keep(row, result)

    def _group(self, rows: Iterator[Row]) -> list[tuple[int, Sample]]:
        """The next rows that can be sent; those that cannot have their error already."""
        group: list[tuple[int, Sample]] = []
        for row in rows:
            try:
                group.append((row.index, {**self.columns.sample(row.sound())}))
            except TableError as error:
                self._keep(row.index, InvalidCall(str(error)))
            if len(group) == self.batch:
                break
        return group

    def _keep(self, row: int, result: Result) -> None:
        self.journal.record(row, cells(result))
        self.progress.advance(failed=not isinstance(result, Answer))

    async def _patiently(self, samples: Sequence[Sample]) -> list[Result]:
        """A result for each sample, whatever happens to one of them alone."""
        idle = rounds = 0
        while True:
            before = self.journal.answers
            try:
                return await self._once(samples)
            except EVERY_ROW:
                raise
            except Unavailable as error:
                idle = idle + 1 if self.journal.answers == before else 0
                pause = PAUSE if error.retry_after is None else error.retry_after
                if idle == ROUNDS or pause > Retries.longest_pause:  # nobody else was answered either
                    raise
                await asyncio.sleep(pause)
            except ClientError as error:
                rounds += 1
                if not await self._lives(error):
                    raise
                if isinstance(error, ConnectionFailed) and rounds < ROUNDS:
                    continue
                if len(samples) == 1:
                    return [error]
                return [result for sample in samples for result in await self._patiently([sample])]

    async def _once(self, samples: Sequence[Sample]) -> list[Result]:
        model, require_all = self.options.model, self.options.require_all
        below = self.options.abstain_below
        if self.batch == 1:
            [sample] = samples
            return [await self.client.predict(model=model, require_all=require_all, abstain_below=below, **sample)]
        results = await self.client.predict_batch(samples, model, require_all=require_all, abstain_below=below)
        shared = _shared(samples)
        again = {index: result for index, result in enumerate(results) if isinstance(result, shared)}
        if len(again) == len(samples):
            raise again[0]
        if again:  # the server managed a part of them
            later = await self._patiently([samples[index] for index in again])
            for index, result in zip(again, later, strict=True):
                results[index] = result
        return results

    async def _lives(self, error: ClientError) -> bool:
        """Whether the server answers anything at all after this error."""
        if isinstance(error, AnswerError):
            return error.problem.status != 502
        if isinstance(error, ConnectionFailed | TimedOut):
            with suppress(ClientError):
                await self.client.models()
                return True
            return False
        return True


def _shared(samples: Sequence[Sample]) -> tuple[type[Unavailable | TimeLimit], ...]:
    """Errors that are no fault of the sample which has them; one that is late all alone has itself to blame."""
    return (Unavailable, TimeLimit) if len(samples) > 1 else (Unavailable,)
