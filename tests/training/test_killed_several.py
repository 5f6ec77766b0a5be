"""A training on two processes that is killed again and again ends as if nothing had happened."""

import os
import random
import subprocess
import time
from pathlib import Path

import psutil

from tests.conftest import ROOT
from tests.training.curves import curves
from tests.training.tables import QUICK
from tests.training.test_distributed import LAUNCH
from tests.training.test_killed import BRIDGE
from tests.training.test_resume import assert_same_runs
from training import checkpoint

PATIENCE = 120.0


def start(*arguments: str) -> subprocess.Popen[bytes]:
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*LAUNCH, "training.fit", *arguments],
        cwd=ROOT,
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(launcher: subprocess.Popen[bytes], which: str) -> None:
    """Send SIGKILL to the launcher and all it started, or to one of the two processes that train."""
    started = psutil.Process(launcher.pid).children(recursive=True)
    if which == "all":
        for process in (psutil.Process(launcher.pid), *started):
            process.kill()
    else:
        trained = [process for process in started if process.environ().get("RANK") == which]
        trained[0].kill()
    launcher.wait(PATIENCE)
    psutil.wait_procs(started, PATIENCE)


def wait_for_more(folder: Path, before: str, launcher: subprocess.Popen[bytes]) -> str:
    """Until something more was saved; returns how far it is."""
    state, until = (folder / checkpoint.STATE).with_suffix(".json"), time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert launcher.poll() is None, "it ended before it was killed"
        found = state.read_text("utf-8") if state.exists() else ""
        if found != before:
            return found
        time.sleep(0.005)
    raise AssertionError(f"nothing was saved in {PATIENCE} s")


def test_two_processes_killed_within_their_epochs_end_bit_for_bit_as_in_peace(
    table: Path, tmp_path: Path, decoded: Path
) -> None:
    named = ["--dataset", "table", "--dataset.path", str(table), *QUICK, "--modalities", "image", "text"]
    named += ["--cache", str(decoded), "--epochs", "8", "--save-minutes", "0", "--method", *BRIDGE]
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert start(*named, "--out", str(whole)).wait(PATIENCE) == 0
    chance, reached = random.Random(0), ""
    for which, more in (("all", 3), ("1", 2), ("0", 3)):
        launcher = start(*(named if not reached else ["--resume"]), "--out", str(out))
        try:
            for _ in range(more):
                reached = wait_for_more(out, reached, launcher)
            time.sleep(chance.uniform(0, 0.05))
        except AssertionError:
            kill(launcher, "all")  # what it started would go on by itself
            raise
        kill(launcher, which)
        assert not (out / checkpoint.RUN).exists(), "it was over before it was killed"
    assert start("--resume", "--out", str(out)).wait(PATIENCE) == 0
    assert_same_runs(whole, out)
    assert curves(whole) == curves(out) != {}
