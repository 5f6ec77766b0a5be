"""The routes under /v1, as one ASGI application."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import asdict
from time import perf_counter
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bundle.errors import InvalidInput
from serving import openapi, problems
from serving.batcher import QueueFull
from serving.fields import read_fields
from serving.problems import ProblemError, problem
from serving.registry import Registry
from serving.schema import Answer, Models
from serving.settings import Settings

logger = logging.getLogger("bentoml.infobridge")
CLIENT_GONE = 499
"""What the access log shows for a request that nobody waits for any more."""


class Api:
    """Answers 503 until `registry` is set.

    BentoML looks into an application that is a Starlette and answers unknown paths below it itself; this one hides
    its Starlette, so that every path under its mount is its own.
    """

    def __init__(self, settings: Settings) -> None:
        self.registry: Registry | None = None
        self._settings = settings
        self._active = 0
        handlers: dict[Any, Any] = dict.fromkeys((HTTPException, ProblemError, InvalidInput), problems.answer)
        self._app = Starlette(
            routes=[
                Route("/predict", self._predict, methods=["POST"]),
                Route("/models", self._models),
                Route("/openapi.json", self._openapi),
            ],
            exception_handlers=handlers,
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        await self._app(scope, receive, send)

    def _ready(self) -> Registry:
        if self.registry is None:
            raise problems.from_status(503)
        return self.registry

    async def _models(self, request: Request) -> Response:
        del request
        models = Models(tuple(model.describe() for model in self._ready()))
        return JSONResponse(asdict(models))

    async def _openapi(self, request: Request) -> Response:
        del request
        return JSONResponse(openapi.document(list(self._ready()), self._settings))

    async def _predict(self, request: Request) -> Response:
        registry = self._ready()
        if self._active >= self._settings.requests:
            raise problem("overloaded", f"{self._settings.requests} predictions are in progress; try again")
        self._active += 1
        try:
            async with asyncio.timeout(self._settings.timeout):
                return JSONResponse(asdict(await self._answer(request, registry)))
        except (ProblemError, InvalidInput, TimeoutError) as error:
            raise problems.from_error(error) from None
        except QueueFull:
            raise problem("overloaded", "too many samples wait for this model; try again") from None
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except Exception as error:  # what a graph may raise is not known; its message may hold values of the input
            logger.error("a prediction failed: %s", type(error).__name__)
            raise problems.from_error(error) from None
        finally:
            self._active -= 1

    async def _answer(self, request: Request, registry: Registry) -> Answer:
        started = perf_counter()
        fields = await read_fields(request, self._settings.part_limit)
        model = registry.choose(fields.inputs, fields.model)
        return await _while_connected(request, model.answer(fields.inputs, started))


async def _while_connected(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The result of `work`, which is cancelled when the client goes away.

    Raises:
        ClientDisconnect: it did.
    """
    working = asyncio.create_task(work)
    working.add_done_callback(_retrieve)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at a result that perhaps nobody waits for any more, so that asyncio does not log what it was."""
    if not task.cancelled():
        task.exception()
