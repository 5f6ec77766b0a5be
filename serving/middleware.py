"""Two ASGI layers around everything: a limit on the body, and one shape for errors that frameworks answer."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import problems


class BodyLimit:
    """Answers 413 itself to a body that is, or grows, over the limit.

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
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            await problems.to_response(refusal)(scope, receive, send)
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
            await problems.to_response(refusal)(scope, receive, send)


class ProblemErrors:
    """Turns an error that is not problem details (a framework's 404, 405, 503) into one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: problems.ProblemError | None = None

        async def translated(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = Headers(raw=message["headers"])
                if not headers.get("content-type", "").startswith(problems.MEDIA_TYPE):
                    kept = {"Allow": headers["allow"]} if "allow" in headers else {}
                    held = problems.from_status(message["status"], kept)
                    return
            if held is None:
                await send(message)
            elif not message.get("more_body", False):
                await problems.to_response(held)(scope, receive, send)

        await self._app(scope, receive, translated)
