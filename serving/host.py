"""The loaded bundles of this process: loaded in the background, and replaced without dropping a request."""

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

from serving import loading, memory
from serving.logs import NAME
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.problems import from_status, problem
from serving.registry import Registry
from serving.settings import Settings

logger = logging.getLogger(NAME)


class Host:
    """Answers who asks for the models; 503 until they are loaded.

    Args:
        settings: which bundles, and their limits.
        metrics: is told of the models and of reloads.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="work")
        self._registry: Registry | None = None
        self._loading: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()
        metrics.models = lambda: {model.name: model.numbers for model in self._registry or ()}

    @property
    def ready(self) -> bool:
        """Whether the models are loaded, warm, and have proved themselves."""
        return self._registry is not None

    def registry(self) -> Registry:
        """The loaded models.

        Raises:
            ProblemError: 503 while there are none.
        """
        if self._registry is None:
            raise from_status(503)
        return self._registry

    def start(self) -> None:
        """Begin to load, in a thread, so that probes are answered meanwhile. Needs a running event loop."""
        self._loading = asyncio.create_task(self._load_first())

    async def _load_first(self) -> None:
        try:
            self._registry = await self._load()
        except Exception as error:  # whatever it is, the server must say why it does not become ready
            logger.error("not ready: %s", error)
            return
        logger.info("ready: %s", ", ".join(model.name for model in self._registry))

    async def _load(self) -> Registry:
        loaded = await asyncio.to_thread(loading.load, self._settings)
        return Registry(
            [
                ServedModel(entry.predictor, self._settings, self._threads, entry.batch, entry.seconds)
                for entry in loaded
            ]
        )

    async def settled(self) -> None:
        """Wait until no models are being loaded."""
        if self._loading is not None:
            await asyncio.wait({self._loading})
        async with self._reloading:
            pass

    async def reload(self) -> Registry:
        """Load the bundles anew, and change over to them when all have proved themselves; else all stays as it was.

        Raises:
            ProblemError: 409 where a bundle must not be used, or a reload is under way already.
        """
        if self._reloading.locked() or (self._loading is not None and not self._loading.done()):
            raise problem("reload-refused", "the bundles are being loaded already")
        async with self._reloading:
            try:
                fresh = await self._load()
            except Exception as error:  # as above: the old ones go on
                self._metrics.reloads["refused"] += 1
                logger.error("not reloaded: %s", error)
                raise problem("reload-refused", f"the bundles stay as they were: {error}") from None
            old, self._registry = self._registry, fresh
            self._metrics.reloads["done"] += 1
            logger.info("reloaded: %s", ", ".join(model.name for model in fresh))
            if old is not None:
                task = asyncio.create_task(_retire(old))
                del old
                self._retired.add(task)
                task.add_done_callback(self._retired.discard)
            return fresh

    async def close(self) -> None:
        """Stop; called when no request is left."""
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
        for task in self._retired:
            task.cancel()
        if self._registry is not None:
            await self._registry.close()
        self._registry = None
        self._threads.shutdown(wait=False, cancel_futures=True)


async def _retire(registry: Registry) -> None:
    """Close models that were replaced, and give back what they took: Python does not know how large a graph is."""
    await registry.retire()
    del registry
    await asyncio.to_thread(memory.release)
