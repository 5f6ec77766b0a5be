"""Every route of the service, as one ASGI application."""

import weakref
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bundle.errors import InvalidInput
from serving import docs_page, metrics, openapi, page_files, problems
from serving.examples import FORM
from serving.fields import shorten
from serving.host import Host
from serving.journey import Journey
from serving.predictions import Predictions
from serving.problems import problem
from serving.registry import Registry
from serving.schema import Models, RequestLimits
from serving.settings import Settings

Handler = Callable[[Request], Awaitable[Response]]
EXAMPLE = "/v1/models/{model}/examples/{index}"


class Api:
    """Routes and what they answer.

    Args:
        settings: limits.
        host: the models.
        numbers: what is counted.
    """

    def __init__(self, settings: Settings, host: Host, numbers: metrics.Metrics) -> None:
        self._settings = settings
        self._host = host
        self._numbers = numbers
        self._predictions = Predictions(settings, numbers)
        self._document: tuple[weakref.ref[Registry], Response] | None = None
        handlers: dict[Any, Any] = dict.fromkeys((HTTPException, problems.ProblemError, InvalidInput), _answer)
        posts: dict[str, Handler] = {
            "/v1/predict": self._predict,
            "/v1/predict/batch": self._predict_batch,
            "/v1/models/reload": self._reload,
        }
        gets: dict[str, Handler] = {
            "/v1/models": self._models,
            "/v1/openapi.json": self._openapi,
            "/v1/docs": docs_page.page,
            "/v1/docs/{name}": docs_page.file,
            EXAMPLE: self._example,
            EXAMPLE + "/{input}": self._example_input,
            "/": page_files.start,
            "/page/{name}": page_files.part,
            "/livez": self._live,
            "/healthz": self._live,
            "/readyz": self._is_ready,
            "/metrics": self._metrics,
        }
        routes = [_route(path, handler, "POST") for path, handler in posts.items()]
        routes += [_route(path, handler, "GET") for path, handler in gets.items()]
        self.paths = [path for path in (*posts, *gets) if "{" not in path]
        """Routes whose path is their name."""
        self._app = Starlette(routes=routes, exception_handlers=handlers)
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        await self._app(scope, receive, send)

    async def _predict(self, request: Request) -> Response:
        with self._host.registry().in_use() as registry:
            return await self._predictions.one(request, registry)

    async def _predict_batch(self, request: Request) -> Response:
        with self._host.registry().in_use() as registry:
            return await self._predictions.many(request, registry)

    async def _models(self, request: Request) -> Response:
        del request
        return self._described(self._host.registry())

    def _described(self, registry: Registry) -> Response:
        limits = RequestLimits(self._settings.body_limit, self._settings.part_limit, self._settings.batch_items)
        return JSONResponse(asdict(Models(tuple(model.describe() for model in registry), limits)))

    async def _reload(self, request: Request) -> Response:
        del request
        return self._described(await self._host.reload())

    async def _openapi(self, request: Request) -> Response:
        del request
        registry = self._host.registry()
        if self._document is None or self._document[0]() is not registry:
            self._document = weakref.ref(registry), JSONResponse(openapi.document(list(registry), self._settings))
        return self._document[1]

    async def _example(self, request: Request) -> Response:
        examples = self._host.registry().find(request.path_params["model"]).examples
        try:
            return Response(examples.form(_index(request)), headers={"Content-Type": FORM})
        except KeyError:
            raise _unknown_example(len(examples)) from None

    async def _example_input(self, request: Request) -> Response:
        model = self._host.registry().find(request.path_params["model"])
        name = request.path_params["input"]
        if name not in model.inputs:
            takes = ", ".join(model.inputs)
            raise problem("unknown-example", f"the model takes {takes}", field=shorten(name), possible=model.inputs)
        index = _index(request)
        if not 0 <= index < len(model.examples):
            raise _unknown_example(len(model.examples))
        has = model.examples.inputs[index]
        if name not in has:
            detail = f"example {index} has no {name}; it has {', '.join(has)}"
            raise problem("unknown-example", detail, field=name, possible=has)
        content, kind = model.examples.payload(index, name)
        return Response(content, headers={"Content-Type": kind})

    async def _live(self, request: Request) -> Response:
        del request
        return PlainTextResponse("\n")

    async def _is_ready(self, request: Request) -> Response:
        del request
        self._host.registry()
        return PlainTextResponse("\n")

    async def _metrics(self, request: Request) -> Response:
        del request
        return Response(self._numbers.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


def _route(path: str, handler: Handler, method: str) -> Route:
    """A route that tells the layers around what it is called."""

    async def endpoint(request: Request) -> Response:
        request.scope["route_template"] = path
        return await handler(request)

    return Route(path, endpoint, methods=[method])


def _index(request: Request) -> int:
    text: str = request.path_params["index"]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else -1


def _unknown_example(count: int) -> problems.ProblemError:
    return problem("unknown-example", f"there are {count} examples, numbered from 0")


def _answer(request: Request, error: Exception) -> Response:
    """An exception handler for Starlette."""
    found = problems.from_error(error)
    Journey.of(request.scope).problem = problems.kind_of(found)
    return problems.to_response(found)
