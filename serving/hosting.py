"""What of BentoML stands in the way, and what stands in its place: each work-around is here, and nowhere else.

- BentoML's ASGI layers are not used. They leave a timer of a minute behind every request, which the garbage collector
  walks again and again; they label metrics with raw paths; they trace without an exporter; they swallow what an
  application raises on purpose. `DirectService` lets requests pass by them. BentoML's start-up and shutdown hooks,
  workers, packing of bentos and model store are used.
- BentoML's process manager looks after its workers every ten seconds, and restarts them when it gets SIGHUP.
  `supervise` makes it look every second, and pass SIGHUP on to them, but not to one that has just begun to start and
  would die of it: it will read the bundles anyway.
- BentoML passes few of uvicorn's settings on, and uvicorn has none for the size of a head or for slow clients.
  `DirectService` lets uvicorn make connections of `serving.wire`.
"""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bentoml
from circus.arbiter import Arbiter
from circus.process import Process
from circus.watcher import Watcher
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import wire

CHECK_SECONDS = 1.0


class DirectService(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose requests go to `application`, and whose life is BentoML's."""

    application: ASGIApp

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What uvicorn runs."""
        wire.install()
        hooks: ASGIApp = super().to_asgi(is_main=is_main)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self.inner.application(scope, receive, send)
            elif scope["type"] == "lifespan":
                await hooks(scope, receive, send)
            else:
                await send({"type": "websocket.close"})

        return app


class Worker(Process):  # type: ignore[misc]
    """A process that answers requests, as its manager sees it."""

    def send_signal(self, sig: int) -> None:
        """Pass a signal on, but for SIGHUP to a process that has no handler for it yet and would end."""
        if sig != signal.SIGHUP or handles(self.pid, sig):
            super().send_signal(sig)


def handles(pid: int, sig: int) -> bool:
    """Whether a process has a handler for a signal, as Linux tells; elsewhere it is taken to have one."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return True
    caught = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return all(mask >> (sig - 1) & 1 for mask in caught)


def supervise() -> None:
    """Change how processes started from here on are looked after; again and again does no harm."""
    if getattr(Arbiter.__init__, "changed", False):
        return
    original = Arbiter.__init__

    def initialise(self: Arbiter, watchers: Sequence[Watcher], *arguments: Any, **options: Any) -> None:
        options["check_delay"] = CHECK_SECONDS
        original(self, watchers, *arguments, **options)
        for watcher in watchers:
            watcher.send_hup = True

    initialise.changed = True  # type: ignore[attr-defined]
    Arbiter.__init__ = initialise
    Watcher._process_class = Worker
