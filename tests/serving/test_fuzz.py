"""The service under thousands of wrong inputs: it answers each, and rightly those between, and keeps its memory."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bundle.predictor import Predictor
from tests.bundles import PAIRINGS, build_bundle
from tests.conftest import ROOT
from tests.serving.fuzzing import FORM, Seeds, check, form, make, parts_of, seeds_of
from tests.serving.process import Server, environment, serving
from tests.serving.samples import payloads

SEED = 0
"""Another one gives other cases; a case is made again by `make(SEED, its number, seeds)`."""
CONNECTIONS = 4
PATIENCE = 60.0
"""Seconds for one answer: a hang is what takes longer, however busy the machine is."""
MOST_WRONG = 20
EVERY = 20
"""Requests between two whose answer is known."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    root = tmp_path_factory.mktemp("fuzzed")
    return {pairing: build_bundle(root / "-".join(pairing), pairing) for pairing in PAIRINGS}


@pytest.fixture(scope="module")
def fuzzed(folders: dict[tuple[str, ...], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    variables = environment(
        folder / "home", bundles=",".join(map(str, folders.values())), decode_threads=2, inference_threads=1
    )
    with serving(folder, variables) as started:
        started.wait_for("/readyz", 200)
        yield started


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    folder = Path(os.environ.get("INFOBRIDGE_DATA") or ROOT / ".." / "shared" / "data").resolve()
    return seeds_of(folder if folder.is_dir() else None)


class Known:
    """Valid samples whose answers the predictor itself has given."""

    def __init__(self, folders: dict[tuple[str, ...], Path]) -> None:
        self.asked = 0
        self._samples = []
        for pairing, folder in folders.items():
            predictor = Predictor(folder, threads=1)
            for seed in range(3):
                sample = payloads(pairing, seed)
                if "text" in sample:  # as long as a text can be: the tiny graph counts the padding of shorter ones too
                    sample["text"] = b"red house river green " * 4
                self._samples.append((form(parts_of(sample)), predictor.predict([sample])[0]))

    async def ask(self, client: httpx.AsyncClient) -> None:
        body, expected = self._samples[self.asked % len(self._samples)]
        self.asked += 1
        response = await client.post("/v1/predict", content=body, headers={"content-type": FORM})
        assert response.status_code == 200, f"a known sample got {response.status_code}: {response.text[:300]}"
        found = response.json()
        assert found["model"] == expected.model
        for got, right in zip(found["predictions"], expected.predictions, strict=True):
            assert got["label"] == right.label, f"{expected.model}: {found}"
            assert abs(got["probability"] - right.probability) < 1e-6, f"{expected.model}: {found}"
        for name, said in expected.modalities.items():
            assert abs(found["modalities"][name]["confidence"] - said.confidence) < 1e-6, expected.model


async def fuzz(server: Server, numbers: range, seeds: Seeds, known: Known) -> Counter[int]:
    """Send the cases of these numbers over a few connections; how many got each status."""
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    left = iter(numbers)

    async def send() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
            for number in left:
                case = make(SEED, number, seeds)
                headers = {"content-type": case.content_type} if case.content_type else {}
                try:
                    response = await client.request(case.method, case.path, content=case.content, headers=headers)
                    check(case, response)
                    statuses[response.status_code] += 1
                    if number % EVERY == 0:
                        await known.ask(client)
                except (httpx.HTTPError, AssertionError) as error:
                    wrong.append(f"seed {SEED}, {case}: {error!r}"[:600])
                if len(wrong) >= MOST_WRONG:
                    return

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(send())
    assert not wrong, "\n".join([*wrong, server.log()[-2000:]])
    return statuses


def family(root: int) -> list[int]:
    """The process and all that it started, the young after the old."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def memory(server: Server) -> int:
    """Bytes of resident memory of all processes of the server."""
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in family(server.process.pid))
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(server: Server) -> int:
    return sum(len(os.listdir(f"/proc/{process}/fd")) for process in family(server.process.pid))


def settled_files(server: Server, most: int) -> int:
    """Open files, once connections that were closed are gone."""
    until = time.monotonic() + PATIENCE
    while open_files(server) > most and time.monotonic() < until:
        time.sleep(0.1)
    return open_files(server)


def run(server: Server, folders: dict[tuple[str, ...], Path], seeds: Seeds, warm: int, count: int) -> None:
    known = Known(folders)
    processes = family(server.process.pid)
    asyncio.run(fuzz(server, range(-warm, 0), seeds, known))
    memory_before, files_before = memory(server), open_files(server)
    statuses = asyncio.run(fuzz(server, range(count), seeds, known))
    files_after, memory_after = settled_files(server, files_before), memory(server)
    print(f"{count} cases: {sorted(statuses.items())}; {memory_before >> 20} MiB before, {memory_after >> 20} after")
    assert family(server.process.pid) == processes, "no process died"
    assert statuses[422] > statuses.total() / 4 and statuses[200] > 0 and known.asked >= count // EVERY
    assert files_after <= files_before
    assert memory_after <= 1.1 * memory_before
    server.wait_for("/readyz", 200)


def test_hundreds_of_inputs_gone_wrong(fuzzed: Server, folders: dict[tuple[str, ...], Path], seeds: Seeds) -> None:
    run(fuzzed, folders, seeds, warm=100, count=250)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_ten_thousand_inputs_gone_wrong(fuzzed: Server, folders: dict[tuple[str, ...], Path], seeds: Seeds) -> None:
    run(fuzzed, folders, seeds, warm=400, count=10_000)
