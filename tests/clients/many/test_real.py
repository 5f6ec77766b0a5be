"""`predict-many` as a process, against a real server: killed, interrupted, and left without its server."""

import asyncio
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle.predictor import Predictor
from clients.answer import Answer
from clients.errors import InvalidRequest, Unauthorized
from clients.payloads import Payload
from clients.questions import Result
from clients.rest import Client
from clients.rest_async import AsyncClient
from tests.bundles import build_bundle
from tests.conftest import ROOT
from tests.serving.process import Server, environment, free_port, serving

pytest.importorskip("bentoml")
ROWS = 600
BAD = ROWS // 50
KEY = "ib_known-to-this-test"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundles") / "image-text", ("image", "text"))


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "keys").write_text(f"tester {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    with serving(folder, environment(folder / "home", bundles=bundle, key_file=folder / "keys")) as started:
        started.wait_for("/readyz", 200)
        yield started


@pytest.fixture
def table(bundle: Path, tmp_path: Path) -> Path:
    """Rows of few pictures and ever other texts; one row in 50 has a picture that is none."""
    generator = np.random.default_rng(3)
    image = Predictor(bundle).modalities["image"]
    for index in range(10):
        (tmp_path / f"{index}.png").write_bytes(image.example(generator))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "image", "text", "label"))
        for row in range(ROWS):
            writer.writerow((f"id-{row}", "bad.png" if row % 50 == 49 else f"{row % 10}.png", f"red {row}", "star"))
    return tmp_path / "pairs.csv"


def start(url: str, table: Path, *arguments: str, key: str = KEY) -> subprocess.Popen[str]:
    out = table.parent / "answers.csv"
    command = [sys.executable, "-m", "clients", "predict-many", url, "--table", str(table), "--out", str(out)]
    variables = environment(None) | {"INFOBRIDGE_KEY": key}
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    shown, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, shown, errors


def lines(table: Path) -> int:
    """Lines that the journal has so far."""
    path = table.parent / "answers.csv.partial"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Until a condition holds, or the process ends."""
    until = time.monotonic() + PATIENCE
    while not reached() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.002)


def forget(table: Path) -> None:
    """As before the first run."""
    for name in ("answers.csv", "answers.csv.partial"):
        (table.parent / name).unlink(missing_ok=True)


def check(table: Path) -> None:
    """Every row is there, once, in order; those that cannot be answered are errors."""
    with (table.parent / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"id-{row}" for row in range(ROWS)]
    assert [row["row"] for row in rows] == [str(row + 1) for row in range(ROWS)]
    for index, row in enumerate(rows):
        if index % 50 == 49:
            assert (row["error_kind"], row["error_status"], row["answer_label"]) == ("unsupported-media", "415", "")
        else:
            assert row["error_kind"] == "" and float(row["probability"]) > 1 / 3 and row["answer_label"]
            assert 0 < float(row["image_confidence"]) < 1 and row["text_label"]
            assert row["request_id"]


@pytest.mark.parametrize(
    ("batch", "pause"), [pytest.param("1", 0.05, id="single"), pytest.param("8", 0.05, id="batches of 8")]
)
def test_kills_at_random_moments_lose_and_double_no_row(server: Server, table: Path, batch: str, pause: float) -> None:
    chance = np.random.default_rng(int(batch))
    known, kills = 0, 0
    while True:
        process = start(server.url, table, "--batch", batch, "--concurrency", "3")
        goal = known + int(chance.integers(20, 130))
        wait(process, lambda goal=goal: lines(table) > goal)  # type: ignore[misc]
        time.sleep(float(chance.uniform(0, pause)))
        process.kill()
        code, _, errors = finish(process)
        if code != -signal.SIGKILL and kills >= 2:
            break
        if code != -signal.SIGKILL:  # on a busy machine it ends before it is killed
            assert code == 3, errors
            forget(table)
            known = 0
            continue
        kills += 1
        whole = (table.parent / "answers.csv.partial").read_bytes().rpartition(b"\n")[0].splitlines()[1:]
        rows = [json.loads(line)["row"] for line in whole]
        assert len(set(rows)) == len(rows) >= known
        known = len(rows)
    assert code == 3, errors
    check(table)
    code, shown, _ = finish(start(server.url, table))
    assert code == 3 and shown.endswith(f"{ROWS - BAD} answers, {BAD} errors; --retry-errors asks those again\n")


def test_an_interruption_is_one_line_and_the_same_command_goes_on(server: Server, table: Path) -> None:
    code, shown, errors = 3, "", ""
    while code == 3:  # on a busy machine it ends before it is interrupted
        forget(table)
        process = start(server.url, table, "--concurrency", "1")
        wait(process, lambda: lines(table) > 20)
        process.send_signal(signal.SIGINT)
        code, shown, errors = finish(process)
    assert (code, shown) == (130, "") and errors.splitlines()[-1].startswith("stopped; ") and "Traceback" not in errors
    assert finish(start(server.url, table))[0] == 3
    check(table)


def test_errors_that_are_mended_are_asked_again(server: Server, table: Path) -> None:
    assert finish(start(server.url, table, "--batch", "64"))[0] == 3
    (table.parent / "bad.png").write_bytes((table.parent / "0.png").read_bytes())
    code, shown, _ = finish(start(server.url, table, "--retry-errors"))
    assert code == 0 and shown.endswith(f"{ROWS} answers\n")
    assert not (table.parent / "answers.csv.partial").exists()


def test_nobody_listening_is_one_line_and_exit_code_2(table: Path) -> None:
    code, shown, errors = finish(start(f"http://127.0.0.1:{free_port()}", table, "--retries", "1"))
    assert (code, shown) == (2, "") and errors.count("\n") == 1
    assert errors.startswith("error: http://127.0.0.1:") and f"keeps 0 of {ROWS} rows" in errors


@pytest.mark.parametrize("key", ["", "ib_another"])
def test_without_its_key_no_row_is_asked(server: Server, table: Path, key: str) -> None:
    code, _, errors = finish(start(server.url, table, key=key))
    assert code == 2 and "(HTTP 401); " in errors and f"keeps 0 of {ROWS} rows" in errors
    with Client(server.url, key=key or None) as client, pytest.raises(Unauthorized) as caught:
        client.models()
    assert caught.value.problem.kind == "unauthorized" and caught.value.problem.request_id


def workers(parent: int) -> list[int]:
    """Processes below a server's that answer requests."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    own = [int(child) for child in children if b"worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return own + [found for child in children for found in workers(int(child))]


def test_a_worker_that_is_killed_costs_no_row(server: Server, table: Path) -> None:
    process = start(server.url, table, "--concurrency", "4", "--retries", "20")
    for goal in (30, 120):
        wait(process, lambda goal=goal: lines(table) > goal)  # type: ignore[misc]
        [worker] = workers(server.process.pid)
        os.kill(worker, signal.SIGKILL)
        server.wait_for("/readyz", 200)
        assert workers(server.process.pid) != [worker]
    code, _, errors = finish(process)
    assert code == 3, errors
    check(table)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_batch_is_answered_by_the_service(server: Server, table: Path, asynchronous: bool) -> None:
    folder = table.parent
    samples: list[dict[str, Payload]] = [
        {"image": folder / f"{index % 10}.png", "text": f"green {index}"} for index in range(70)
    ]
    samples[3]["image"] = folder / "bad.png"
    del samples[4]["text"]

    async def ask() -> list[Result]:
        async with AsyncClient(server.url, key=KEY) as client:
            return await client.predict_batch(samples)

    with Client(server.url, key=KEY) as client:
        results = asyncio.run(ask()) if asynchronous else client.predict_batch(samples, model="image-text")
        alone = [
            client.predict(model=None, require_all=None, abstain_below=None, **samples[index]) for index in (0, 69)
        ]
    assert [isinstance(result, Answer) for result in results] == [index != 3 for index in range(70)]
    for found, expected in zip((results[0], results[69]), alone, strict=True):
        assert isinstance(found, Answer)
        for one, other in zip(found.predictions, expected.predictions, strict=True):
            assert one.label == other.label and one.probability == pytest.approx(other.probability, abs=1e-5)
    assert isinstance(results[4], Answer) and results[4].missing == ("text",)
    with Client(server.url, key=KEY) as client:
        strict, abstaining = client.predict_batch(samples[4:6], require_all=True, abstain_below=1)
    assert isinstance(strict, InvalidRequest) and strict.field == "text" and strict.received == "only image"
    assert isinstance(abstaining, Answer) and abstaining.abstain


def test_an_empty_cell_is_a_missing_modality_and_an_empty_row_an_error(server: Server, table: Path) -> None:
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, rows[0], "no text,1.png,,star", "no image,,red,star", "nothing,,,star"]) + "\n")
    for arguments, expected in (((), ["", "text", "image", None]), (("--require-all",), ["", None, None, None])):
        code, shown, errors = finish(start(server.url, table, "--overwrite", "--abstain-below", "1", *arguments))
        assert code == 3, shown + errors
        with (table.parent / "answers.csv").open(newline="") as file:
            found = list(csv.DictReader(file))
        assert [row["missing"] if not row["error_kind"] else None for row in found] == expected
        assert {row["abstain"] for row in found if not row["error_kind"]} == {"true"}
        assert found[3]["error_detail"].startswith("expected a payload for one or more inputs of a model")
    assert (found[1]["error_kind"], found[1]["error_status"]) == ("invalid-input", "422")
