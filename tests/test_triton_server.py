"""The Triton server that tests use: where it is not installed or cannot be, that is said in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import triton
from tests.conftest import ROOT


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


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "server" / "bin").mkdir(parents=True)
    program = tmp_path / "server" / "bin" / "tritonserver"
    program.write_text("#!/bin/sh\necho no such backend\nexit 1\n")
    program.chmod(0o755)
    with (
        pytest.raises(triton.Unavailable, match="did not become ready:\nno such backend"),
        triton.started(tmp_path, tmp_path / "log", tmp_path / "server"),
    ):
        pass


def test_other_words_are_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert triton.main(["start"]) == 2
    assert "python -m scripts.triton install" in capsys.readouterr().err
