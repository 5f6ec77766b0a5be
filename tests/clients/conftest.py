"""One prediction by one of the two clients, and a file too large to be held."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.answer import Answer
from clients.payloads import Payload
from clients.rest import Client
from clients.rest_async import AsyncClient
from clients.retrying import Retries

Ask = Callable[..., Answer]
LARGE = 256 * 1024 * 1024


@pytest.fixture(params=[False, True], ids=["waiting", "awaiting"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """One prediction by one of the two clients."""

    def asked(url: str, retries: int = 0, timeout: float = 20.0, **payloads: Payload) -> Answer:
        patience = Retries(retries, first_pause=0.0)

        async def awaited() -> Answer:
            async with AsyncClient(url, timeout, patience) as client:
                return await client.predict(model=None, require_all=None, abstain_below=None, **payloads)

        if request.param:
            return asyncio.run(awaited())
        with Client(url, timeout, patience) as client:
            return client.predict(model=None, require_all=None, abstain_below=None, **payloads)

    return asked


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.touch()
    os.truncate(path, LARGE)
    return path
