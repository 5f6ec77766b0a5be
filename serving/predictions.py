"""Predictions for one sample or many: admission, time limit, and one problem for whatever goes wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bundle.errors import InvalidInput, WorkCancelled
from serving.batch_fields import Item, read_batch
from serving.batcher import QueueFull
from serving.connection import WhileConnected
from serving.fields import JSON, Fields, read_fields
from serving.journey import Journey, milliseconds
from serving.lane import retry_after
from serving.logs import NAME
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.problems import ProblemError, from_error, kind_of, problem
from serving.registry import Registry
from serving.schema import Answer, Answered, BatchAnswer, BatchTiming, Failed
from serving.settings import Settings

logger = logging.getLogger(NAME)
CLIENT_GONE = 499
"""What the log shows for a request that nobody waits for any more."""
PATIENT = 0.5
"""Part of the time limit that a sample may have to wait; who would wait longer is told so at once."""
AGAIN = 0.02
"""Seconds until a sample of a batch looks again whether there is room."""
ANSWER, BATCH_ANSWER = TypeAdapter(Answer), TypeAdapter(BatchAnswer)


class Predictions:
    """The two routes that predict.

    Args:
        settings: limits.
        metrics: counts what single samples of a batch end with.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._active = 0

    async def one(self, request: Request, registry: Registry) -> Response:
        """The answer for one sample.

        Raises:
            ProblemError: there is none.
        """
        journey = Journey.of(request.scope)
        async with self._admitted(journey):
            async with asyncio.timeout(self._settings.timeout):
                fields = await read_fields(request, self._settings.part_limit)
                journey.add("receive", journey.elapsed())
                model = self._choose(registry, fields)
                journey.model = model.name
                self._admit(model)
                async with WhileConnected(request):
                    answer = await model.answer(fields, journey)
            return _respond(lambda: ANSWER.dump_json(answer), journey)
        return Response(status_code=CLIENT_GONE)

    async def many(self, request: Request, registry: Registry) -> Response:
        """An answer or a problem for each of many samples; those that time runs out for get a problem.

        Raises:
            ProblemError: the request as a whole cannot be read.
        """
        journey = Journey.of(request.scope)
        async with self._admitted(journey):
            async with asyncio.timeout(self._settings.timeout):
                batch = await read_batch(request, self._settings)
            if batch.options.model is not None:
                registry.find(batch.options.model)
            journey.add("receive", journey.elapsed())
            async with WhileConnected(request):
                found = await self._answer_all(batch.items, registry, journey)
            timing = BatchTiming(milliseconds(journey.stages["receive"]), milliseconds(journey.elapsed()))
            answer = BatchAnswer(tuple(found), timing)
            return _respond(lambda: BATCH_ANSWER.dump_json(answer, exclude=_unknown(answer)), journey)
        return Response(status_code=CLIENT_GONE)

    @asynccontextmanager
    async def _admitted(self, journey: Journey) -> AsyncIterator[None]:
        """One of the predictions in progress; what goes wrong inside becomes a problem, a client that left nothing."""
        if self._active >= self._settings.requests:
            raise problem("overloaded", f"{self._settings.requests} predictions are in progress; try again")
        self._active += 1
        try:
            yield
        except ClientDisconnect:
            journey.problem = "client-gone"
        except Exception as error:
            raise self._to_problem(error, journey) from None
        finally:
            self._active -= 1

    def _to_problem(self, error: Exception, journey: Journey) -> ProblemError:
        """What a graph may raise is not known, and its message may hold values of the input."""
        if isinstance(error, QueueFull):
            return problem("overloaded", "too many samples wait for this model; try again")
        if not isinstance(error, ProblemError | InvalidInput | TimeoutError | WorkCancelled):
            extra = {"request_id": journey.request_id, "model": journey.model}
            logger.error("a prediction failed: %s", type(error).__name__, extra=extra)
        return from_error(error)

    def _choose(self, registry: Registry, fields: Fields) -> ServedModel:
        """A strict server stays strict, whatever a request says."""
        options = fields.options
        require_all = self._settings.require_all or options.require_all is True
        return registry.choose(fields.inputs, options.model, require_all)

    def _admit(self, model: ServedModel) -> None:
        delay = model.delay()
        if delay > PATIENT * self._settings.timeout:
            detail = f"a sample would wait for about {delay:.0f} seconds; try again"
            raise problem("overloaded", detail, headers=retry_after(delay))

    async def _answer_all(self, items: list[Item], registry: Registry, journey: Journey) -> list[Answered | Failed]:
        """A few at a time, so that a batch does not fill the queue that others wait in."""
        width = asyncio.Semaphore(2 * max(self._settings.decode_threads, *(model.batch for model in registry)))
        tasks = [asyncio.create_task(self._answer_item(item, registry, journey, width)) for item in items]
        try:
            await asyncio.wait(tasks, timeout=max(0.0, self._settings.timeout - journey.elapsed()))
        finally:
            unfinished = [task for task in tasks if task.cancel()]
        if unfinished:
            await asyncio.wait(unfinished)
        return [self._late() if task.cancelled() else task.result() for task in tasks]

    def _late(self) -> Failed:
        self._metrics.reject("too-slow")
        return Failed(from_error(TimeoutError()).problem)

    async def _answer_item(
        self, item: Item, registry: Registry, journey: Journey, width: asyncio.Semaphore
    ) -> Answered | Failed:
        try:
            if isinstance(item, InvalidInput):
                raise item
            model = self._choose(registry, item)
            journey.model = model.name
            async with width:
                return Answered(await _with_room(model, item, journey))
        except Exception as error:
            found = self._to_problem(error, journey)
            self._metrics.reject(kind_of(found))
            return Failed(found.problem)


async def _with_room(model: ServedModel, item: Fields, journey: Journey) -> Answer:
    """The answer for a sample, which waits while the queue is full."""
    while True:
        try:
            return await model.answer(item, journey)
        except QueueFull:
            await asyncio.sleep(AGAIN)


def _unknown(answer: BatchAnswer) -> dict[str, Any]:
    """What problems do not know, which is left out and never null."""
    failed = {index: item.problem for index, item in enumerate(answer.items) if isinstance(item, Failed)}
    return {
        "items": {
            index: {"problem": {name for name, value in vars(found).items() if value is None}}
            for index, found in failed.items()
        }
    }


def _respond(dump: Callable[[], bytes], journey: Journey) -> Response:
    began = perf_counter()
    content = dump()
    journey.add("answer", perf_counter() - began)
    return Response(content, media_type=JSON)
