"""The outermost ASGI layer: gives every request an id, and counts, logs and traces how it ended."""

import logging
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access_log import AccessLog
from serving.journey import KEY, SENSIBLE, Journey, milliseconds
from serving.logs import NAME
from serving.metrics import Metrics
from serving.problems import problem, to_response
from serving.tracing import Tracer

logger = logging.getLogger(NAME)
QUIET = ("/livez", "/readyz", "/healthz", "/metrics")
"""Routes that leave no line in the log when all is well: probes ask every few seconds."""
NOWHERE = "unknown"


class Observed:
    """Everything about requests that does not depend on what they ask.

    Args:
        app: what answers; it sets `scope["route_template"]` to the name of a route whose path varies.
        metrics: what counts.
        paths: routes whose path is their name.
        logs: whether requests are logged.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str], logs: bool = True) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._logs = logs
        self.access_log = AccessLog()
        self.tracer: Tracer | None = None
        """What traces, where an exporter is configured."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        journey = self._begin(scope)
        status = 0

        async def counted() -> Message:
            message = await receive()
            journey.received += len(message.get("body", b""))
            return message

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", journey.request_id.encode())]
                if journey.stages:
                    own.append((b"server-timing", journey.server_timing().encode()))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        self._metrics.in_progress += 1
        try:
            await self._app(scope, counted, labelled)
        except Exception as error:  # whatever it is, the caller gets an answer and the log no values of an input
            logger.error("a request failed: %s", type(error).__name__, extra={"request_id": journey.request_id})
            journey.problem = "internal-error"
            if status == 0:
                await to_response(problem("internal-error", "the server failed; its log names the error"))(
                    scope, receive, labelled
                )
        finally:
            self._metrics.in_progress -= 1
            self._end(scope, status, journey)

    def _begin(self, scope: Scope) -> Journey:
        journey = Journey()
        for name, value in scope["headers"]:
            if name == b"traceparent":
                journey.parent = value.decode("latin-1")
            elif name == b"x-request-id" and SENSIBLE.fullmatch(given := value.decode("latin-1")):
                journey.request_id = given
        scope[KEY] = journey
        if scope["path"] in self._paths:
            scope["route_template"] = scope["path"]
        return journey

    def _end(self, scope: Scope, status: int, journey: Journey) -> None:
        route = scope.get("route_template", NOWHERE)
        self._metrics.count(route, status, journey)
        if self._logs and not (route in QUIET and status < 500):
            known: dict[str, object] = {
                "request_id": journey.request_id,
                "method": scope["method"],
                "route": route,
                "status": status,
                "milliseconds": milliseconds(journey.elapsed()),
                "received": journey.received,
            }
            if journey.stages:
                known["stages"] = {stage: milliseconds(seconds) for stage, seconds in journey.stages.items()}
            if journey.model:
                known["model"] = journey.model
            if journey.problem:
                known["problem"] = journey.problem
            self.access_log.write(known)
        if self.tracer is not None and route not in QUIET:
            self.tracer.record(route, scope["method"], status, journey)
