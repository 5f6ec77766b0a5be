"""The BentoML service: `python -m bentoml serve serving.service:InfoBridge`."""

import asyncio
import gc
import signal

import bentoml
from bentoml.exceptions import BentoMLException

from bundle.errors import BundleError
from serving import hosting, loading, logs
from serving.application import Application
from serving.keys import KeyFileError
from serving.memory import return_large_blocks
from serving.settings import Settings, SettingsError, exports_traces, pin_paths
from serving.tracing import Tracer

try:
    SETTINGS = Settings.from_environment()
    APPLICATION = Application(SETTINGS)
except (SettingsError, KeyFileError) as error:
    raise BentoMLException(str(error)) from None


@bentoml.service(name="infobridge", workers=1, metrics={"enabled": False}, service_class=hosting.DirectService)
class InfoBridge:
    """Paired raw signals to a class, with the confidence of each modality. See /v1/openapi.json."""

    application = APPLICATION

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse to start at all with a bundle that is missing or altered; runs once, before the workers."""
        try:
            loading.check(SETTINGS)
        except BundleError as error:
            raise BentoMLException(str(error)) from None
        pin_paths(SETTINGS)
        hosting.supervise()
        logs.configure()

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Load in the background, so that probes are answered meanwhile."""
        logs.configure()
        return_large_blocks()
        tune_garbage_collection()
        APPLICATION.start(Tracer() if exports_traces() else None)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, APPLICATION.reload_soon)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Runs when no request is left."""
        await APPLICATION.close()


def tune_garbage_collection() -> None:
    """Keep full collections rare and short: what is imported now is there to stay, and need not be walked again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)
