"""What a request leaves behind: nothing that the garbage collector would have to find, and no memory."""

import asyncio
import gc
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from serving.application import Application
from serving.batcher import MicroBatcher
from serving.settings import Settings
from tests.bundles import build_bundle
from tests.conftest import ROOT
from tests.serving.fuzzing import FORM, form, parts_of
from tests.serving.samples import payloads

GOOD = payloads(("image", "text"))
REFUSED = {**GOOD, "image": b"no picture"}


def circles() -> Counter[str]:
    """Functions whose frames, with all they hold, only the garbage collector has found."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return Counter(entry.f_code.co_qualname for entry in gc.garbage if isinstance(entry, types.FrameType))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/batch"])
@pytest.mark.parametrize("sample", [GOOD, REFUSED])
def test_no_circle_keeps_what_was_uploaded(tmp_path: Path, path: str, sample: dict[str, bytes]) -> None:
    app = Application(Settings(bundles=(str(build_bundle(tmp_path / "bundle", ("image", "text"))),)))
    body = form(parts_of(sample, "0." if path.endswith("batch") else ""))

    async def ask() -> None:
        app.start(None)
        while not app.host.ready:
            await asyncio.sleep(0.05)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
            for _ in range(5):
                response = await client.post(path, content=body, headers={"content-type": FORM})
                assert response.status_code in (200, 415)
        await app.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
        found = circles()
    finally:
        gc.enable()
    assert {name: count for name, count in found.items() if count >= 5} == {}


def test_no_circle_keeps_an_item_that_a_batch_failed_on() -> None:
    def fail(items: Sequence[bytes]) -> Sequence[bytes]:
        raise ValueError(f"{len(items)}")

    async def ask() -> None:
        batcher = MicroBatcher[bytes, bytes](fail, lambda item: (), max_batch=4, wait=0.0, queue_length=8)
        batcher.start()
        found = await asyncio.gather(*(batcher.submit(b"item") for _ in range(6)), return_exceptions=True)
        assert all(isinstance(error, ValueError) for error in found)
        await batcher.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
        found = circles()
    finally:
        gc.enable()
    assert found["MicroBatcher.submit"] == 0


GROWN = """
from pathlib import Path
from serving.memory import return_large_blocks
{call}
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20
bytearray(30 << 20)  # freed: glibc learns to keep such blocks
before = resident()
small, large = [], []
for _ in range(20):
    large.append(bytearray(8 << 20))
    small.extend(bytes(1000) for _ in range(100))
large.clear()
print(resident() - before)
"""


@pytest.mark.parametrize(("call", "back"), [("", False), ("return_large_blocks()", True)])
def test_large_blocks_are_given_back(call: str, back: bool) -> None:
    run = subprocess.run(
        [sys.executable, "-c", GROWN.format(call=call)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert (int(run.stdout) < 16) == back, f"{run.stdout} MiB kept"
