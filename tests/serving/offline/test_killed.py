"""A run that is killed, at any moment and again and again, ends with the very file of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bundle.tables import progress
from serving.offline import command
from serving.offline.parts import Parts
from tests.conftest import ROOT
from tests.serving.offline import pairs
from tests.serving.offline.conftest import Run

KILLS = 4
ROWS = 400


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_nothing_is_lost_or_doubled_by_kills(folder: Path, tmp_path: Path, run: Run, kind: str) -> None:
    pytest.importorskip("pyarrow")
    table = pairs.write(folder / f"killed.{kind}", ROWS)
    assert run(table, tmp_path / f"calm.{kind}", "--part", "2")[0] == 3
    out = tmp_path / f"answers.{kind}"
    state = tmp_path / f"answers.{kind}.parts"
    random_moments = random.Random(kind)
    killed = 0
    while killed < KILLS:
        kept = len(list(state.glob("*-*"))) if state.exists() else 0
        if killed_at(state, kept + random_moments.randrange(1, ROWS // (3 * KILLS)), start(folder, table, out)):
            killed += 1
            assert state.is_dir() and not out.exists()
        else:  # on a busy machine it ends before it is killed
            out.unlink()
    assert start(folder, table, out).wait() == 3
    assert out.read_bytes() == (tmp_path / f"calm.{kind}").read_bytes()
    assert not state.exists()


def start(folder: Path, table: Path, out: Path) -> "subprocess.Popen[bytes]":
    arguments = [str(folder / "bundle"), "--table", str(table), "--out", str(out), "--part", "2", "--batch", "4"]
    return subprocess.Popen(
        [sys.executable, "-m", "serving.offline", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_at(state: Path, parts: int, process: "subprocess.Popen[bytes]") -> bool:
    """Kill a run once it has kept so many parts; whether it came to that."""
    while process.poll() is None:
        if state.exists() and sum("-" in name for name in os.listdir(state)) >= parts:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.0005)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("where", ["put", "join", "remove"])
def test_a_run_that_ends_anywhere_goes_on_from_there(
    folder: Path, tmp_path: Path, run: Run, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pairs.write(folder / "ended.csv", 60)
    assert run(table, tmp_path / "calm.csv", "--part", "4")[0] == 3
    out = tmp_path / "answers.csv"

    class Killed(BaseException):
        pass

    def die(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if where == "put":
            patched.setattr(Parts, "put", dying(Parts.put, 7, Killed))
        elif where == "join":
            patched.setattr(command, "join", die)
        else:
            patched.setattr(Parts, "remove", die)
        with pytest.raises(Killed):
            run(table, out, "--part", "4")
    (tmp_path / "answers.csv.parts/00000099.tmp").write_bytes(b"half a part")
    assert out.exists() == (where == "remove")
    counted: list[int] = []
    monkeypatch.setattr(progress.RunProgress, "advance", lambda self, failed, rows: counted.append(rows))
    assert run(table, out, "--part", "4")[0] == 3
    assert sum(counted) == (60 - 7 * 4 if where == "put" else 0), "what was kept is not answered again"
    assert out.read_bytes() == (tmp_path / "calm.csv").read_bytes()
    assert not (tmp_path / "answers.csv.parts").exists()


def dying(function: Any, after: int, error: type[BaseException]) -> Any:
    left = [after]

    def called(*arguments: Any) -> Any:
        if not left[0]:
            raise error
        left[0] -= 1
        return function(*arguments)

    return called


def test_an_interrupted_run_says_what_it_keeps(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pairs.write(folder / "ended.csv", 60)
    with monkeypatch.context() as patched:
        patched.setattr(Parts, "put", dying(Parts.put, 3, KeyboardInterrupt))
        code, shown, errors = run(table, tmp_path / "answers.csv", "--part", "4")
    assert (code, shown) == (130, "")
    assert errors.splitlines()[-1].startswith("stopped; ") and "keeps 12 of 60 rows" in errors
    assert run(table, tmp_path / "answers.csv", "--part", "4")[0] == 3
