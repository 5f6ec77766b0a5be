"""One server with five tiny bundles for the whole session."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bundles import PAIRINGS, build_bundle
from tests.serving.process import Server, environment, serving
from tests.serving.samples import build_fragile

BODY_LIMIT = 1_000_000
PART_LIMIT = 20_000
TWIN = "second-pathology-genomics"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three pairings, a second model for the last of them, and one whose graph fails on a certain word."""
    folder = tmp_path_factory.mktemp("bundles")
    found = {"-".join(pairing): build_bundle(folder / "-".join(pairing), pairing) for pairing in PAIRINGS}
    found[TWIN] = build_bundle(folder / TWIN, PAIRINGS[2], name=TWIN, seed=1)
    found["fragile"] = build_fragile(folder / "fragile")
    return found


@pytest.fixture(scope="session")
def server(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    variables = environment(
        folder / "home",
        bundles=",".join(map(str, bundles.values())),
        body_limit=BODY_LIMIT,
        part_limit=PART_LIMIT,
        batch_wait_ms=20,
        decode_threads=2,
        inference_threads=1,
    )
    with serving(folder, variables) as started:
        started.wait_for("/readyz", 200)
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client; afterwards, the server must still be well."""
    with server.client() as opened:
        yield opened
        assert opened.get("/readyz").status_code == 200
