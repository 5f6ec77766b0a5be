"""Requests made from the service's own OpenAPI document, right and wrong: every answer must be a documented one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.process import ROOT, Server, environment, serving

pytest.importorskip("schemathesis", reason="schemathesis is not installed")
PROGRAM = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
CONFIGURATION = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422]
"""
"""Too many samples are answered 413, which schemathesis does not expect by itself."""


@pytest.fixture(scope="module")
def documented(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the limits of the document that it would have in use."""
    folder = tmp_path_factory.mktemp("documented")
    variables = environment(folder / "home", bundles=",".join(map(str, bundles.values())))
    with serving(folder, variables) as server:
        server.wait_for("/readyz", 200)
        yield server


def run(server: Server, folder: Path, examples: int) -> None:
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    command = [sys.executable, "-c", PROGRAM, "run", f"{server.url}/v1/openapi.json", "--no-color"]
    command += ["--max-examples", str(examples), "--generation-deterministic", "--request-timeout", "30"]
    variables = environment(None) | {"SCHEMATHESIS_HOOKS": "tests.serving.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "9 selected / 9 total" in done.stdout


def test_every_answer_is_a_documented_one(documented: Server, tmp_path: Path) -> None:
    run(documented, tmp_path, examples=25)


@pytest.mark.slow
def test_every_answer_is_a_documented_one_at_length(documented: Server, tmp_path: Path) -> None:
    run(documented, tmp_path, examples=500)
