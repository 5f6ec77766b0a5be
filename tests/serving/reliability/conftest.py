"""Servers to load, kill, stop and reload, with a model that takes its time and one that fails."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving import keys
from tests.bundles import PAIRINGS, build_bundle
from tests.serving.process import Server, environment, serving
from tests.serving.reliability.load import build_slow
from tests.serving.samples import build_fragile

TIMEOUT = 10.0


@dataclass(frozen=True)
class Sturdy:
    """A running server, and what is around it."""

    server: Server
    bundles: dict[str, Path]
    key: str
    """An administrator's."""
    temporary: Path
    """The server's folder for temporary files."""

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    @property
    def key_header(self) -> str:
        return f"X-API-Key: {self.key}\r\n"


def build_bundles(folder: Path) -> dict[str, Path]:
    """The three pairings, a slow model, and one whose graph fails on a certain word."""
    found = {"-".join(pairing): build_bundle(folder / "-".join(pairing), pairing) for pairing in PAIRINGS}
    found["slow"] = build_slow(folder / "slow")
    found["fragile"] = build_fragile(folder / "fragile")
    return found


def start(folder: Path, bundles: dict[str, Path], **settings: object) -> Iterator[Sturdy]:
    """A server of its own for whoever asks; ready when it is given."""
    key_file, temporary = folder / "keys", folder / "temporary"
    key = keys.add(key_file, "admin", admin=True)
    temporary.mkdir()
    chosen: dict[str, object] = {"timeout": TIMEOUT, "decode_threads": 2, "inference_threads": 1, **settings}
    variables = environment(
        folder / "home", bundles=",".join(map(str, bundles.values())), key_file=key_file, access_log=False, **chosen
    )
    with serving(folder, variables | {"TMPDIR": str(temporary)}) as server:
        server.wait_for("/readyz", 200)
        yield Sturdy(server, bundles, key, temporary)


@pytest.fixture(scope="session")
def sturdy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sturdy]:
    folder = tmp_path_factory.mktemp("sturdy")
    yield from start(folder, build_bundles(folder / "bundles"))
