"""The whole service as one ASGI application: layers around the routes, and the models behind them."""

import asyncio
import contextlib
import logging

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import memory
from serving.api import Api
from serving.body_limit import BodyLimit
from serving.guard import Guard
from serving.host import Host
from serving.keys import Keys
from serving.logs import NAME
from serving.metrics import Metrics
from serving.observed import Observed
from serving.problems import ProblemError
from serving.settings import Settings
from serving.tracing import Tracer

logger = logging.getLogger(NAME)


class Application:
    """Made once, when the service's module is imported; `start` needs the event loop.

    Args:
        settings: everything an operator can set.

    Raises:
        KeyFileError: the key file cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics()
        self.host = Host(settings, self.metrics)
        api = Api(settings, self.host, self.metrics)
        app: ASGIApp = Guard(BodyLimit(api, settings.body_limit), Keys(settings.key_file))
        if settings.cors_origins:
            app = CORSMiddleware(
                app,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST"),
                allow_headers=("Authorization", "Content-Type", "X-API-Key", "X-Request-ID"),
                expose_headers=("Retry-After", "Server-Timing", "X-Request-ID"),
            )
        self._app = Observed(app, self.metrics, api.paths, settings.access_log)
        self._reload: asyncio.Task[None] | None = None
        self._reload_waits = False
        self._tidying: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        await self._app(scope, receive, send)

    def start(self, tracer: Tracer | None) -> None:
        """Begin to load the models."""
        self._app.tracer = tracer
        self.host.start()
        self._tidying = asyncio.create_task(memory.trim_when_idle(lambda: self.metrics.received))

    def reload_soon(self) -> None:
        """Reload the models, as a signal asks for it: the log says how it ended.

        While they are being loaded, one more time is enough, however many signals come.
        """
        if not self._reload_waits:
            self._reload_waits = True
            self._reload = asyncio.create_task(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        await self.host.settled()
        self._reload_waits = False
        with contextlib.suppress(ProblemError):  # the host has logged it
            await self.host.reload()

    async def close(self) -> None:
        """Stop; called when no request is left."""
        if self._tidying is not None:
            self._tidying.cancel()
        await self.host.close()
        self._app.access_log.flush()
        if self._app.tracer is not None:
            await asyncio.to_thread(self._app.tracer.close)
