"""uvicorn's HTTP connection, with bounds it has none for: how large a head may be, and how long a client may dawdle."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.problems import MEDIA_TYPE, ProblemError, problem, to_json

HEAD_BYTES = 64 * 1024
"""Of the address and the headers of a request, trailers included; more is answered 431."""
HEADER_COST = 32
"""Counted for every header beside its bytes: an empty one takes memory too."""
HEAD_SECONDS = 10.0
"""Until the head of a request must have come, from the connection's opening or the first byte; then 408."""
REST_SECONDS = 30.0
"""Until a client must have sent the rest of a body that is answered already, or taken some of its answer."""
PIPELINED = 128
"""Requests of one connection that may wait for earlier ones to be answered; one more ends the connection."""
UNREADABLE = problem("malformed-body", "this is no request in HTTP/1.1")
TOO_LONG = problem("head-too-large", f"address and headers may have at most {HEAD_BYTES:,} bytes")
TOO_LATE = problem("head-too-slow", f"the head of the request did not come within {HEAD_SECONDS:g} seconds")


def install() -> None:
    """Let uvicorn make connections of this kind in this process, unless it is told otherwise."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedProtocol.__name__}"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What it refuses is answered before the application sees it, and ends the connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._refusal = UNREADABLE
        self._head_bytes = 0
        self._silent_bytes = 0
        """Since the parser last told of anything: at most what it holds of an unfinished header."""
        self._between = True
        """Whether no request is arriving."""
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._set("head", HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every timer."""
        for name in list(self._timers):
            self._unset(name)
        super().connection_lost(exc)

    def _set(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        self._unset(name)
        self._timers[name] = self.loop.call_later(seconds, then)

    def _unset(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _abort_unless_taken(self, name: str) -> None:
        """End the connection if the client takes nothing of what is written for it."""
        left = self.transport.get_write_buffer_size()

        def check() -> None:
            if self.transport.get_write_buffer_size() < left:
                self._abort_unless_taken(name)
            else:
                self.transport.abort()

        self._set(name, REST_SECONDS, check)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self.transport.is_closing():
            return
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._silent_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(TOO_LONG)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._between = False
        self._head_bytes = self._silent_bytes = 0
        if "head" not in self._timers:
            self._set("head", HEAD_SECONDS, self._head_is_late)

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count(len(name) + len(value) + HEADER_COST)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._silent_bytes = 0
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            self._refusal = TOO_LONG
            raise ValueError("the parser ends with the error of a callback")

    def on_headers_complete(self) -> None:
        """The request begins to be answered."""
        self._silent_bytes = 0
        self._unset("head")
        if len(self.pipeline) == PIPELINED:
            raise ValueError("the parser ends with the error of a callback")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._silent_bytes = 0
        self._between = True
        self._unset("rest")
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and not self.transport.is_closing():
            # it was answered before it had come, and nothing else would end the connection if it stayed idle now
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """The answer is written, as far as the connection took it."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_unless_taken("closing")
        elif not self._between and "head" not in self._timers:
            self._set("rest", REST_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not take what is written."""
        super().pause_writing()
        self._abort_unless_taken("stall")

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._unset("stall")

    def shutdown(self) -> None:
        """The server stops: end the connection, at once if it is idle."""
        super().shutdown()
        if self.transport.is_closing():
            self._abort_unless_taken("closing")

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a while."""
        super().timeout_keep_alive_handler()
        self._abort_unless_taken("closing")

    def _head_is_late(self) -> None:
        self._unset("head")
        if self.pipeline or (self.cycle is not None and not self.cycle.response_complete):
            # an earlier request of this connection is being answered: it may be us who do not read on
            self._set("head", HEAD_SECONDS, self._head_is_late)
        elif self._between:
            self.transport.close()
        else:
            self._refuse(TOO_LATE)

    def _refuse(self, refusal: ProblemError) -> None:
        self._refusal = refusal
        self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Answer with the problem, unless other answers are under way or come first, and end the connection."""
        del msg
        free = self.cycle is None or self.cycle.response_complete or not self.cycle.response_started
        if free and not self.pipeline:
            content = json.dumps(to_json(self._refusal.problem))
            headers = {"content-type": MEDIA_TYPE, "content-length": str(len(content)), "connection": "close"}
            pairs = [*self.server_state.default_headers, *((k.encode(), v.encode()) for k, v in headers.items())]
            head = STATUS_LINE[self._refusal.problem.status] + b"".join(b"%s: %s\r\n" % pair for pair in pairs)
            self.transport.write(head + b"\r\n" + content.encode())
        self.transport.close()
        self._abort_unless_taken("closing")
