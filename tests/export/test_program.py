"""`python -m export`: what it refuses in one line, what it replaces, and what a killed one leaves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.manifest import FILE, GRAPH, Manifest
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export import assemble as assembling
from export import to_onnx as exporting
from export.__main__ import main
from export.errors import ExportError
from export.graph import Graph, declare
from export.to_onnx import to_onnx
from tests.conftest import ROOT
from tests.export.conftest import Exported
from training.checkpoint import RUN, WEIGHTS
from training.model import Classifier


@pytest.fixture
def run(one: Exported, tmp_path: Path) -> Path:
    """A copy of the smallest run."""
    return Path(shutil.copytree(one.run.folder, tmp_path / "run"))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line a refused export prints."""
    assert main([str(argument) for argument in arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_run_becomes_a_bundle_named_like_its_folder(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a [new] folder" / "tissue"
    assert main([str(run), "--to", str(target)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    line, *_ = printed.out.splitlines()
    assert line.startswith(f"{target}: pathology + genomics, 3 classes; equal to the trained model within ")
    assert Manifest.read(target).name == "tissue"
    assert [path.name for path in target.parent.iterdir()] == ["tissue"]


def test_what_is_no_finished_run_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bundle"
    assert "is not a finished run" in refusal(capsys, tmp_path / "nowhere", "--to", target)
    (run / RUN).unlink()
    assert "is not a finished run: it has no run.json" in refusal(capsys, run, "--to", target)
    (run / RUN).write_text('{"format": 1')
    assert "cannot be read" in refusal(capsys, run, "--to", target)
    assert not target.exists()


@pytest.mark.parametrize("damage", ["absent", "short", "other"])
def test_damaged_weights_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, exported: Callable[[str], Exported]
) -> None:
    weights = run / WEIGHTS
    if damage == "absent":
        weights.unlink()
    elif damage == "short":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        shutil.copy(exported("averaged").run.folder / WEIGHTS, weights)
    assert WEIGHTS in refusal(capsys, run, "--to", tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_there_is_kept(
    one: Exported, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Path(shutil.copytree(one.bundle, tmp_path / "bundle"))
    assert "choose another --to, or --overwrite it" in refusal(capsys, run, "--to", target)
    assert selfcheck(Predictor(target)) == 4


def test_overwrite_replaces_a_bundle_whole(one: Exported, run: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(one.bundle, tmp_path / "bundle"))
    (target / "stale").write_text("of the old bundle")
    assert main([str(run), "--to", str(target), "--overwrite", "--name", "second"]) == 0
    assert Manifest.read(target).name == "second" and not (target / "stale").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "run"]


def test_overwrite_replaces_nothing_but_a_bundle(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a bundle" in refusal(capsys, run, "--to", run, "--overwrite")
    assert (run / RUN).is_file()
    (tmp_path / "file").write_text("mine")
    assert "is not a bundle" in refusal(capsys, run, "--to", tmp_path / "file", "--overwrite")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failed_overwrite_keeps_the_old_bundle(
    one: Exported, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Path(shutil.copytree(one.bundle, tmp_path / "bundle"))
    (run / WEIGHTS).write_bytes(b"damaged")
    refusal(capsys, run, "--to", target, "--overwrite")
    assert selfcheck(Predictor(target)) == 4


def test_an_overwrite_that_fails_at_the_last_step_puts_the_old_bundle_back(
    one: Exported, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Path(shutil.copytree(one.bundle, tmp_path / "bundle"))
    rename = Path.rename

    def failing(self: Path, other: Path) -> Path:
        if (self / GRAPH).exists() and self.name == f".bundle-{os.getpid()}":
            raise OSError("the disk is gone")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    assert "the disk is gone" in refusal(capsys, run, "--to", target, "--overwrite")
    assert Manifest.read(target).name == "snn"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "run"]


def test_a_place_that_cannot_be_written_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refusal(capsys, run, "--to", tmp_path / "file" / "bundle")


def test_an_interrupted_export_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(assembling, "to_onnx", interrupt)
    assert main([str(run), "--to", str(tmp_path / "bundle")]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_killed_export_leaves_nothing_under_the_target_s_name(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    command = [sys.executable, "-m", "export", str(run), "--to", str(target)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    until = time.monotonic() + 120
    while not list(tmp_path.glob(".bundle-*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert not target.exists()
    for path in tmp_path.glob(".bundle-*"):
        assert not (path / FILE).exists()
    assert main([str(run), "--to", str(target)]) == 0
    assert selfcheck(Predictor(target)) == 4


def test_what_does_not_fit_one_file_is_refused(one: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "LARGEST", 1_000)
    declaration = declare(one.run.modalities, 3)
    with pytest.raises(ExportError, match="do not fit one file"):
        to_onnx(Graph(one.run.model(), declaration), declaration, ())


def test_a_model_that_cannot_be_traced_is_refused_in_one_line(one: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Classifier, inputs: object) -> None:
        raise RuntimeError("not to be traced\nfor reasons of its own")

    monkeypatch.setattr(Classifier, "forward", forward)
    declaration = declare(one.run.modalities, 3)
    with pytest.raises(ExportError) as found:
        to_onnx(Graph(one.run.model(), declaration), declaration, ())
    assert str(found.value).startswith("the model cannot be exported: ") and "\n" not in str(found.value)
