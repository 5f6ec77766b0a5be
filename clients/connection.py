"""Connections that notice an answer which comes while the request is still being sent, such as an early 413."""

import selectors
import socket
import ssl
from typing import Any, NoReturn

import anyio
import httpcore

LEAST = 16 * 1024
"""Bytes of a piece that is written, or listened to, at once."""
MOMENT = 0.01
"""Seconds within which what has arrived is read, if it is an answer; TLS also hears what is none."""
ANSWERED = "the server has answered before everything was sent"
"""httpcore takes a write that failed for a server that had enough, and reads the answer."""


class Heard:
    """What was heard while sending, kept for the next read; empty bytes are the end of the connection."""

    def __init__(self) -> None:
        self._content: bytes | None = None

    def put(self, content: bytes) -> NoReturn:
        """Keep it.

        Raises:
            httpcore.WriteError: always, for there is no need to send more.
        """
        self._content = content
        raise httpcore.WriteError(ANSWERED)

    def take(self, most: int) -> bytes | None:
        """At most so many bytes of it; None where there is none."""
        content = self._content
        self._content = None
        if content is not None and len(content) > most:
            content, self._content = content[:most], content[most:]
        return content


class WatchedStream(httpcore.NetworkStream):
    """A connection whose writes end where the server has spoken."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream, self._heard = stream, Heard()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next, or came already."""
        heard = self._heard.take(max_bytes)
        return self._stream.read(max_bytes, timeout) if heard is None else heard

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all.

        Raises:
            httpcore.WriteError: the server has answered or is gone.
            httpcore.WriteTimeout: it takes nothing for `timeout` seconds.
        """
        plain: socket.socket = self._stream.get_extra_info("socket")
        left = memoryview(buffer)
        with selectors.DefaultSelector() as selector:
            selector.register(plain, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while left:
                happened = selector.select(timeout)
                if not happened:
                    raise httpcore.WriteTimeout("timed out")
                if happened[0][1] & selectors.EVENT_READ:
                    self._listen()
                if happened[0][1] & selectors.EVENT_WRITE:
                    left = left[_send(plain, left[:LEAST], timeout) :]

    def _listen(self) -> None:
        try:
            self._heard.put(self._stream.read(LEAST, MOMENT))
        except httpcore.ReadTimeout:
            pass  # a ticket of TLS
        except httpcore.ReadError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection with TLS, watched too."""
        return WatchedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What the connection below knows."""
        return self._stream.get_extra_info(info)


def _send(plain: socket.socket, piece: memoryview, timeout: float | None) -> int:
    try:
        plain.settimeout(timeout)
        return plain.send(piece)
    except TimeoutError as error:
        raise httpcore.WriteTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.WriteError(str(error)) from error


class WatchedBackend(httpcore.SyncBackend):
    """Makes watched connections."""

    def connect_tcp(self, *where: Any, **how: Any) -> httpcore.NetworkStream:
        """A watched connection."""
        return WatchedStream(super().connect_tcp(*where, **how))


class AsyncWatchedStream(httpcore.AsyncNetworkStream):
    """A connection that listens while it sends."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream, self._heard = stream, Heard()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next, or came already."""
        heard = self._heard.take(max_bytes)
        return await self._stream.read(max_bytes, timeout) if heard is None else heard

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all.

        Raises:
            httpcore.WriteError: the server has answered or is gone.
            httpcore.WriteTimeout: it takes too little within `timeout` seconds.
        """
        if self._stream.get_extra_info("is_readable"):  # asyncio loses what was received when it fails to send
            with anyio.move_on_after(MOMENT):
                self._heard.put(await self._listen())
        if len(buffer) < LEAST:  # fits the socket's buffer
            await self._stream.write(buffer, timeout)
            return
        outcome: list[bytes | Exception] = []
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                outcome.append(await self._listen())
                tasks.cancel_scope.cancel()

            tasks.start_soon(listen)
            try:
                await self._stream.write(buffer, timeout)
            except (httpcore.WriteError, httpcore.WriteTimeout) as error:
                outcome.append(error)
            tasks.cancel_scope.cancel()
        for happened in outcome:
            if isinstance(happened, Exception):
                raise happened
            self._heard.put(happened)

    async def _listen(self) -> bytes:
        """What comes; nothing where the connection broke, as the next write will find out."""
        try:
            return await self._stream.read(LEAST)
        except httpcore.ReadError:
            return b""

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
