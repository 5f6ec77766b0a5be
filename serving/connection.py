"""Noticing that nobody waits for an answer any more."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect, Request

UNWATCHED = 0.05
"""Seconds before a connection is watched: most answers are there earlier, and watching costs a task."""


class WhileConnected:
    """Cancels what is inside when the client goes away. The request's body must have been read.

    Raises:
        ClientDisconnect: it did.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> Self:
        """Begin."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(UNWATCHED, self._start)
        return self

    def _start(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        if self._gone and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect
