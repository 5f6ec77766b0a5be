"""Connections that notice an answer which comes while the request is still being sent, such as an early 413."""

import selectors
import socket
import ssl
from typing import Any

import anyio
import httpcore

LEAST = 16 * 1024
"""Bytes from which a write is watched; what is shorter fits the socket's buffer and cannot block."""
MOMENT = 0.01
"""Seconds within which what has arrived is read, if it is an answer; TLS also hears what is none."""
ANSWERED = "the server has answered before everything was sent"
"""httpcore takes a write that failed for a server that had enough, and reads the answer."""


class WatchedStream(httpcore.NetworkStream):
    """A plain connection whose writes end where the server has spoken. TLS also hears what is no answer: unwatched."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next."""
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all.

        Raises:
            httpcore.WriteError: the server has answered or is gone.
            httpcore.WriteTimeout: it takes nothing for `timeout` seconds.
        """
        if len(buffer) < LEAST:
            self._stream.write(buffer, timeout)
            return
        plain: socket.socket = self._stream.get_extra_info("socket")
        left = memoryview(buffer)
        with selectors.DefaultSelector() as selector:
            selector.register(plain, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while left:
                happened = selector.select(timeout)
                if not happened:
                    raise httpcore.WriteTimeout("timed out")
                if happened[0][1] & selectors.EVENT_READ:
                    raise httpcore.WriteError(ANSWERED)
                try:
                    left = left[plain.send(left) :]
                except OSError as error:
                    raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection with TLS."""
        return self._stream.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """What the connection below knows."""
        return self._stream.get_extra_info(info)


class WatchedBackend(httpcore.SyncBackend):
    """Makes watched connections."""

    def connect_tcp(self, *where: Any, **how: Any) -> httpcore.NetworkStream:
        """A watched connection."""
        return WatchedStream(super().connect_tcp(*where, **how))


class AsyncWatchedStream(httpcore.AsyncNetworkStream):
    """A connection that listens while it sends; what it hears is kept for the next read."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._heard: bytes | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next, or came already."""
        if self._heard is None:
            return await self._stream.read(max_bytes, timeout)
        heard, self._heard = self._heard, None
        if len(heard) > max_bytes:
            heard, self._heard = heard[:max_bytes], heard[max_bytes:]
        return heard

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all.

        Raises:
            httpcore.WriteError: the server has answered or is gone.
            httpcore.WriteTimeout: it takes too little within `timeout` seconds.
        """
        if self._stream.get_extra_info("is_readable"):  # asyncio loses what was received when it fails to send
            with anyio.move_on_after(MOMENT):
                self._heard = await self._stream.read(LEAST)
        if self._heard is not None:
            raise httpcore.WriteError(ANSWERED)
        if len(buffer) < LEAST:
            await self._stream.write(buffer, timeout)
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, tasks.cancel_scope)
            try:
                await self._stream.write(buffer, timeout)
            except (httpcore.WriteError, httpcore.WriteTimeout) as error:
                failure = error
            tasks.cancel_scope.cancel()
        if self._heard is not None:
            raise httpcore.WriteError(ANSWERED)
        if failure is not None:
            raise failure

    async def _listen(self, writing: anyio.CancelScope) -> None:
        try:
            self._heard = await self._stream.read(LEAST)
        except httpcore.ReadError:
            return  # the write fails too, and says why
        writing.cancel()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """The same connection with TLS, listening too."""
        return AsyncWatchedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What the connection below knows."""
        return self._stream.get_extra_info(info)


class AsyncWatchedBackend(httpcore.AnyIOBackend):
    """Makes watched connections."""

    async def connect_tcp(self, *where: Any, **how: Any) -> httpcore.AsyncNetworkStream:
        """A watched connection."""
        return AsyncWatchedStream(await super().connect_tcp(*where, **how))
