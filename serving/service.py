"""The BentoML service: `python -m bentoml serve serving.service:InfoBridge`."""

import asyncio
import contextlib
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

from bundle.errors import BundleError
from serving import loading
from serving.api import Api
from serving.middleware import BodyLimit, ProblemErrors
from serving.model import ServedModel
from serving.registry import Registry
from serving.settings import Settings, SettingsError, pin_bundles

logger = logging.getLogger("bentoml.infobridge")
GRACE = 10.0
"""Seconds after which BentoML would end a request that our own timeout has not ended."""

try:
    SETTINGS = Settings.from_environment()
except SettingsError as error:
    raise BentoMLException(str(error)) from None
API = Api(SETTINGS)


@bentoml.asgi_app(API, path="/v1")
@bentoml.service(
    name="infobridge",
    workers=1,
    traffic={"timeout": SETTINGS.timeout + GRACE},
    tracing={"excluded_urls": ".*"},
)
class InfoBridge:
    """Paired raw signals to a class, with the confidence of each modality. See /v1/openapi.json."""

    def __init__(self) -> None:
        self._decoders = ThreadPoolExecutor(SETTINGS.decode_threads, thread_name_prefix="decode")
        self._loading: asyncio.Task[None] | None = None

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse to start at all with a bundle that is missing or altered; runs once, before the workers."""
        try:
            pin_bundles(loading.check(SETTINGS))
        except BundleError as error:
            raise BentoMLException(str(error)) from None

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Load in the background, so that probes are answered meanwhile."""
        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings quote what clients send
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            predictors = await asyncio.get_running_loop().run_in_executor(self._decoders, loading.load, SETTINGS)
            registry = Registry([ServedModel(predictor, SETTINGS, self._decoders) for predictor in predictors])
        except Exception as error:  # whatever it is, the server must say why it does not become ready
            logger.error("not ready: %s", error)
            return
        for model in registry:
            model.start()
        tune_garbage_collection()
        API.registry = registry
        logger.info("ready: %s", ", ".join(model.name for model in registry))

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Runs when no request is left."""
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
        for model in API.registry or ():
            await model.close()
        API.registry = None
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def __is_ready__(self) -> bool:
        """Whether /readyz answers 200."""
        return API.registry is not None


SERVICE: Any = InfoBridge  # the decorator made it one, which its type does not say
SERVICE.add_asgi_middleware(ProblemErrors)
SERVICE.add_asgi_middleware(BodyLimit, max_bytes=SETTINGS.body_limit)


def tune_garbage_collection() -> None:
    """Keep full collections rare and short.

    BentoML leaves a timer with its context behind every request, until its timeout; with the default thresholds the
    collector walks all of them, and everything imported, again and again: pauses above 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 10, 10_000)
