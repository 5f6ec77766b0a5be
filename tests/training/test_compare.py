"""The whole way with real trainings: killed, continued, tabled, and never run again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.training.tables import QUICK
from training import checkpoint, scoring
from training.checkpoint import read
from training.compare import main


def test_a_killed_comparison_goes_on_to_its_tables(
    table: Path, decoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a comparison"
    options = [*QUICK, "--epochs", "3", "--dataset", "table", "--dataset.path", str(table)]
    options += ["--modalities", "image", "text", "--cache", str(decoded), "--out", str(out)]
    options += ["--methods", "unimodal", "infobridge", "--seeds", "1", "--resamples", "200"]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")

    def kill() -> None:
        while not list(out.glob("*/*/history.json")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=kill)
    killer.start()
    assert main([*options, "--jobs", "1"]) == 128 + signal.SIGTERM
    killer.join()
    assert "the same command goes on" in capsys.readouterr().err
    done = {path.parent: path.stat().st_mtime_ns for path in out.glob("*/*/run.json")}
    begun = {path.parent for path in out.glob("*/*/config.json")}
    assert begun and len(done) < 2

    assert main([*options, "--jobs", "2"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{folder.parent.name} seed {folder.name}: goes on" in printed for folder in begun - set(done))
    assert all((folder / "run.json").stat().st_mtime_ns == when for folder, when in done.items())
    folders = sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in out.glob("*/*/run.json"))
    assert folders == ["infobridge/0", "unimodal/0"]
    for folder in out.glob("*/*/"):
        run = read(folder)
        assert (run.config.method, str(run.config.seed)) == (folder.parent.name, folder.name)
        assert len(json.loads((folder / "history.json").read_text("utf-8"))) == 3
        assert (folder.parent / f"{folder.name}.log").exists() and not checkpoint.foreign(folder)
        assert set(scoring.load(folder / "scores.safetensors")) == {"val", "test"}

    text = (out / "results.md").read_text(encoding="utf-8")
    assert "| InfoBridge (Ours) | 1 |" in text and "| Unimodal, late fusion | 1 |" in text and "chosen |" in text
    assert "18 train, 9 val, 9 test samples; 3 classes" in text and "missing" not in text
    content = json.loads((out / "results.json").read_text(encoding="utf-8"))
    measured = {"0": read(out / "infobridge" / "0").metrics["test"]["accuracy"]}
    row = next(row for row in content["tables"][0]["rows"] if row["name"] == "infobridge")
    assert {seed: each["test"] for seed, each in row["seeds"].items()} == measured

    assert main(options) == 0, "and nothing is run again"
    assert "2 are finished" in capsys.readouterr().out
    again = (out / "results.md").read_text(encoding="utf-8")
    assert again.replace(" --jobs 2", "") == text.replace(" --jobs 2", "")
    assert os.listdir(out).count("results.csv") == 1


def test_a_split_that_every_seed_makes_anew_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",split")
    table.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines), encoding="utf-8")
    options = ["--dataset", "table", "--dataset.path", str(table), "--out", str(tmp_path / "out")]
    assert main([*options, "--methods", "joint", "--seeds", "2"]) == 2
    assert "expected one test split for all seeds" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("joint*"))


def test_help_needs_no_torch() -> None:
    code = "import sys, training.compare as c\ntry: c.main(['--help'])\nfinally: sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "python -m training.compare" in done.stdout
