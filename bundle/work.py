"""One piece of work: the limits it is under, and a way to end it early from another thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from bundle.errors import WorkCancelled
from bundle.limits import Limits

DEFAULTS = Limits()


class Work:
    """Limits and a flag for whatever runs inside `active`.

    The decoders are pure functions of a payload and know nothing of who waits for them: they ask `limits()` and call
    `checkpoint()` where they may take long.

    Args:
        limits: what one payload may cost; None takes the defaults.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = DEFAULTS if limits is None else limits
        self._cancelled = False
        self._watchers: list[Callable[[], None]] = []
        self._lock = Lock()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this work any more."""
        return self._cancelled

    def cancel(self) -> None:
        """End the work at its next checkpoint; may be called from any thread, and more than once."""
        with self._lock:
            self._cancelled = True
            watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()

    def check(self) -> None:
        """A checkpoint of this very work.

        Raises:
            WorkCancelled: it was cancelled.
        """
        if self.cancelled:
            raise WorkCancelled("nobody waits for this work any more")

    @contextmanager
    def active(self) -> Iterator["Work"]:
        """Make this the work of the running thread (or task) for as long as the context lasts."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call `watcher` once, from the cancelling thread, if the work is cancelled inside the context.

        Raises:
            WorkCancelled: it was cancelled before.
        """
        with self._lock:
            self.check()
            self._watchers.append(watcher)
        try:
            yield
        finally:
            with self._lock:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)


_current: ContextVar[Work | None] = ContextVar("work", default=None)


def checkpoint() -> None:
    """Where long work may end early; costs next to nothing, and nothing happens outside of a `Work`.

    Raises:
        WorkCancelled: the active work was cancelled.
    """
    work = _current.get()
    if work is not None and work.cancelled:
        work.check()


def limits() -> Limits:
    """The limits of the active work, or the defaults."""
    work = _current.get()
    return DEFAULTS if work is None else work.limits
