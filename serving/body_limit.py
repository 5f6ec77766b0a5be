"""An ASGI layer that answers 413 to a body that is, or grows, over a limit."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import problems
from serving.journey import Journey


class BodyLimit:
    """Counts what arrives.

    The application sees an exception from `receive`; whatever it answers to that is replaced. What the client still
    sends is read and discarded by the server, so that the client can finish and see the answer.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = problems.problem("too-large", f"a request may have at most {self._max_bytes:,} bytes")
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await _refuse(refusal, scope)(scope, receive, send)
            return
        received = 0
        started = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise refusal
            return message

        async def guarded(message: Message) -> None:
            nonlocal started
            if started or received <= self._max_bytes:
                started = True
                await send(message)

        try:
            await self._app(scope, counted, guarded)
        except problems.ProblemError as error:
            if error is not refusal:
                raise
        if received > self._max_bytes and not started:
            await _refuse(refusal, scope)(scope, receive, send)


def _refuse(refusal: problems.ProblemError, scope: Scope) -> ASGIApp:
    Journey.of(scope).problem = problems.kind_of(refusal)
    return problems.to_response(refusal)
