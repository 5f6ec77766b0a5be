"""The Triton server that tests use: where it is not installed or cannot be, that is said in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import triton
from tests.conftest import ROOT
from tests.triton_server import server_or_skip


def test_what_is_not_installed_says_how_it_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_ENVIRONMENT", str(tmp_path))
    with pytest.raises(triton.Unavailable, match=r"python -m scripts\.triton install"):
        triton.installed()
    (tmp_path / triton.MARK).touch()
    with pytest.raises(triton.Unavailable, match="brought no server"):
        triton.installed()


def test_an_installation_that_cannot_be_says_why_and_counts_as_none(tmp_path: Path) -> None:
    variables = {**os.environ, "TRITON_ENVIRONMENT": str(tmp_path / "none"), "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-m", "scripts.triton", "install"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("no Triton server here, tests of it are skipped: pip install ended with 1")
    assert not (tmp_path / "none" / triton.MARK).exists()


def standing_in(folder: Path, script: str) -> dict[str, str]:
    """Variables under which a shell script stands for the server."""
    program = folder / "lib/python3.11/site-packages/pytriton/tritonserver/bin/tritonserver"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (folder / triton.MARK).touch()
    return {**os.environ, "TRITON_ENVIRONMENT": str(folder)}


def serve(folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.triton", "serve", str(folder)]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=90)


READY = """
import http.server, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        ENDS
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--http-port") + 1])), Answer).serve_forever()
"""


def test_a_server_that_ends_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "server" / "bin").mkdir(parents=True)
    program = tmp_path / "server" / "bin" / "tritonserver"
    program.write_text("#!/bin/sh\necho loading\necho no such backend\nexit 1\n")
    program.chmod(0o755)
    with (
        pytest.raises(triton.Unavailable, match=r"did not become ready: no such backend$"),
        triton.started(tmp_path, tmp_path / "log", tmp_path / "server"),
    ):
        pass


def test_serving_without_a_server_says_so_in_one_line(tmp_path: Path) -> None:
    done = serve(tmp_path, {**os.environ, "TRITON_ENVIRONMENT": str(tmp_path / "none")})
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("nothing is served: no Triton server in ") and "python -m scripts.triton install" in line


def test_of_a_log_the_errors_are_told_and_not_what_follows_them() -> None:
    log = """I1126 21:38:39.887308 7 cuda_memory_manager.cc:117] "CUDA memory pool disabled"
E1126 21:38:39.887371 7 server.cc:241] "CudaDriverHelper has not been initialized."
E1126 21:38:41.463689 7 model_lifecycle.cc:642] "failed to load 'mine' version 1: Internal: no such weights"
| Model | Version | Status                                |
| mine  | 1       | UNAVAILABLE: Internal: no such weights |
| other | 1       | READY                                 |
"""
    assert triton.reason(log + "| x | y |\n" * 900 + "error: creating server: failed to load all models\n\n") == (
        "\"failed to load 'mine' version 1: Internal: no such weights\"; "
        "mine 1 UNAVAILABLE: Internal: no such weights; error: creating server: failed to load all models"
    )
    assert triton.reason("") == "no log"


def test_a_model_that_does_not_load_is_named_in_one_line(tmp_path: Path) -> None:
    server_or_skip()
    model = tmp_path / "broken"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.py").write_text(
        triton.ECHO + '    def initialize(self, args):\n        raise OSError("torn")'
    )
    (model / "config.pbtxt").write_text(triton.ECHO_CONFIG)
    done = serve(tmp_path, dict(os.environ))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("nothing is served: the Triton server did not become ready: ")
    assert "failed to load 'broken' version 1: Internal: OSError: torn" in line and "broken 1 UNAVAILABLE" in line
    assert "model_repository_path" not in line and "CudaDriverHelper" not in line


@pytest.mark.parametrize(("ends", "code"), [("os._exit(7)", 7), ("os.kill(os.getpid(), signal.SIGKILL)", 137)])
def test_the_code_of_a_server_that_ends_is_passed_on(tmp_path: Path, ends: str, code: int) -> None:
    (tmp_path / "ready.py").write_text(READY.replace("ENDS", ends))
    variables = standing_in(tmp_path / "server", f'exec {sys.executable} {tmp_path / "ready.py"} "$@"')
    done = serve(tmp_path, variables)
    assert done.returncode == code and done.stdout.startswith("HTTP http://127.0.0.1:"), done.stderr
    assert "Traceback" not in done.stderr


def test_other_words_are_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert triton.main(["start"]) == 2
    assert "python -m scripts.triton install" in capsys.readouterr().err
