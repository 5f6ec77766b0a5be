"""How trainings are run: several at once, each on its device, resumed, stopped, failing; a program stands for one."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.training.comparisons import TABLE, finish, outputs, part, planned
from training import checkpoint
from training.compare import main
from training.comparison import cells as cells_module
from training.comparison import running
from training.comparison.cells import Cell, environments, visible_gpus

PROGRAM = '''"""Does what the file says that is named for the cell; notes its environment."""
import json, os, pathlib, shutil, sys, time
made, out = map(pathlib.Path, sys.argv[1:3])
resume = "--resume" in sys.argv
does = json.loads((made / "does.json").read_text()).get(f"{out.parent.name}-{out.name}", [])
names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
with (made / "notes.jsonl").open("a") as notes:
    note = {name: os.environ.get(name) for name in names}
    note |= {"cell": f"{out.parent.name}-{out.name}", "resume": resume, "at": time.time()}
    notes.write(json.dumps(note) + "\\n")
if "stubborn" in does:
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if "refuse to resume" in does and resume:
    print("error: the training state is of another training", file=sys.stderr)
    sys.exit(2)
if "die before resuming" in does and resume:
    os.kill(os.getpid(), 9)
if "crash before resuming" in does and resume:
    raise MemoryError("out of memory")
if resume:
    print("Resuming after epoch 1", file=sys.stderr)
print("epoch 1/2: loss 0.1")
if "diverge" in does:
    print("error: expected a finite loss, found nan", file=sys.stderr)
    sys.exit(2)
if "crash" in does:
    raise RuntimeError("out of luck")
if "die" in does:
    os.kill(os.getpid(), 9)
out.mkdir(parents=True, exist_ok=True)
for name in ("data.json", "config.json"):
    shutil.copy(made / f"{out.parent.name}-{out.name}" / name, out)
(made / f"{out.parent.name}-{out.name}.started").touch()
if "wait" in does:
    time.sleep(60)
time.sleep(0.3)
shutil.copytree(made / f"{out.parent.name}-{out.name}", out, dirs_exist_ok=True)
with (made / "notes.jsonl").open("a") as notes:
    notes.write(json.dumps({"ended": f"{out.parent.name}-{out.name}", "at": time.time()}) + "\\n")
'''
METHODS = ("--methods", "joint", "infobridge", "--seeds", "2", "--resamples", "100")
Compare = Callable[..., int]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of finished runs, which the program that stands for a training copies to where they belong."""
    made = tmp_path / "made"
    for cell in planned(tmp_path / "out", *METHODS)[2]:
        right = part(30 + 5 * (cell.variant == "infobridge"), 60)
        finish(cell, outputs(part(6, 10)), outputs(right), made / f"{cell.variant}-{cell.seed}")
    (made / "program.py").write_text(PROGRAM, encoding="utf-8")
    does(made)

    def command(cell: Cell, resume: bool) -> list[str]:
        own = [str(made / "program.py"), str(made), str(cell.folder)]
        return [sys.executable, "-S", *own, *(["--resume"] if resume else [])]

    monkeypatch.setattr(Cell, "command", command)
    monkeypatch.setattr("training.comparison.data.check_data", lambda cells: None)
    monkeypatch.setattr(cells_module, "visible_gpus", list)
    return made


def does(made: Path, **cells: Sequence[str]) -> None:
    """What each training is to do; `joint_0` is joint with seed 0."""
    content = {name.replace("_", "-"): list(doings) for name, doings in cells.items()}
    (made / "does.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def compare(made: Path, tmp_path: Path) -> Compare:
    return lambda *more: main([*TABLE, "--out", str(tmp_path / "out"), *METHODS, *more])


def notes(made: Path) -> list[dict[str, str | float | bool | None]]:
    file = made / "notes.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def started(made: Path) -> list[str]:
    return [str(note["cell"]) for note in notes(made) if "cell" in note]


def test_every_cell_is_run_once_and_never_again(
    made: Path, compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare() == 0
    out = capsys.readouterr().out
    assert started(made) == ["joint-0", "infobridge-0", "joint-1", "infobridge-1"], "one after the other"
    assert "[0/4] joint seed 0: started" in out
    assert "[4/4] infobridge seed 1: validation 0.600, test 0.583; " in out
    assert "| InfoBridge (Ours) | 2 | 60.0 ± 0.0 | 58.3 ± 0.0 |" in out
    before = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "epoch 1/2" in (tmp_path / "out" / "joint" / "0.log").read_text(encoding="utf-8")
    assert compare() == 0
    assert len(started(made)) == 4 and "4 are finished" in capsys.readouterr().out
    assert (tmp_path / "out" / "results.md").read_text(encoding="utf-8") == before
    assert compare("--seeds", "3", "--tables") == 0, "a seed more is only told to be missing"
    assert "Of 6 trainings, 2 are missing" in capsys.readouterr().out and len(started(made)) == 4


def test_so_many_run_at_once_after_the_first_has_read_the_data(made: Path, compare: Compare) -> None:
    assert compare("--jobs", "3") == 0
    running_now, most = 0, 0
    for note in notes(made):
        running_now += 1 if "cell" in note else -1
        most = max(most, running_now)
    assert 2 <= most <= 3
    first, second = (note for note in notes(made) if "cell" in note and note["cell"] in ("joint-0", "infobridge-0"))
    assert float(second["at"] or 0) - float(first["at"] or 0) > 0.05, "when data.json was there"


def test_each_training_has_a_gpu_of_its_own(made: Path, compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "visible_gpus", lambda: ["2", "GPU-7"])
    assert compare() == 0
    assert {note["CUDA_VISIBLE_DEVICES"] for note in notes(made) if "cell" in note} == {"2", "GPU-7"}


def test_without_gpus_each_training_has_its_part_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environments(None, []) == [{"OMP_NUM_THREADS": "8"}]
    assert environments(3, []) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert environments(20, []) == [{"OMP_NUM_THREADS": "1"}] * 20
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert environments(2, []) == [{"OMP_NUM_THREADS": "2"}] * 2, "never more than is asked for"
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert environments(2, []) == [{"OMP_NUM_THREADS": "4"}] * 2


def test_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1", "2"]
    assert environments(None, visible_gpus()) == [{"CUDA_VISIBLE_DEVICES": name} for name in "012"]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in environments(4, ["0", "1", "2"])] == ["0", "1", "2", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,MIG-1,6")
    assert visible_gpus() == ["4", "MIG-1", "6"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("doing", "message"),
    [
        ("diverge", "expected a finite loss, found nan"),
        ("crash", "RuntimeError: out of luck"),
        ("die", "ended by SIGKILL, perhaps for want of memory"),
    ],
)
def test_a_failed_cell_is_told_and_stops_no_other(
    doing: str, message: str, made: Path, compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    does(made, joint_0=[doing])
    assert compare("--jobs", "2") == 1
    captured = capsys.readouterr()
    log = tmp_path / "out" / "joint" / "0.log"
    assert f"failed: joint seed 0: {message} (see {log})" in captured.err
    assert f"- joint, seed 0: failed: {message}" in captured.out
    assert "| Joint-Train | 1 of 2 |" in captured.out and "| InfoBridge (Ours) | 2 |" in captured.out
    does(made)
    assert compare() == 0, "and is tried again"
    assert started(made).count("joint-0") == 2 and len(started(made)) == 5


def interrupted(made: Path, cell: Cell) -> None:
    """The folder of a training that was killed."""
    shutil.copytree(made / f"{cell.variant}-{cell.seed}", cell.folder)
    (cell.folder / checkpoint.RUN).unlink()


def test_an_interrupted_cell_is_resumed_first(made: Path, compare: Compare, tmp_path: Path) -> None:
    interrupted(made, planned(tmp_path / "out", *METHODS)[2][3])
    assert compare() == 0
    assert [(note["cell"], note["resume"]) for note in notes(made) if "cell" in note] == [
        ("infobridge-1", True),
        ("joint-0", False),
        ("infobridge-0", False),
        ("joint-1", False),
    ]


def test_a_cell_that_cannot_be_resumed_starts_anew(
    made: Path, compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(made, planned(tmp_path / "out", *METHODS)[2][0])
    does(made, joint_0=["refuse to resume"])
    assert compare() == 0
    assert [note["resume"] for note in notes(made) if note.get("cell") == "joint-0"] == [True, False]
    expected = "joint seed 0: cannot be resumed (the training state is of another training), starts anew"
    assert expected in capsys.readouterr().out


def test_a_cell_that_fails_after_it_was_resumed_does_not_start_anew(
    made: Path, compare: Compare, tmp_path: Path
) -> None:
    interrupted(made, planned(tmp_path / "out", *METHODS)[2][0])
    does(made, joint_0=["diverge"])
    assert compare() == 1
    assert started(made).count("joint-0") == 1


@pytest.mark.parametrize(
    ("doing", "message"),
    [("die before resuming", "ended by SIGKILL"), ("crash before resuming", "MemoryError: out of memory")],
)
def test_a_cell_that_breaks_down_before_it_is_resumed_keeps_its_state(
    doing: str, message: str, made: Path, compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = planned(tmp_path / "out", *METHODS)[2][0]
    interrupted(made, cell)
    does(made, joint_0=[doing])
    assert compare() == 1
    assert [note["resume"] for note in notes(made) if note.get("cell") == "joint-0"] == [True]
    assert f"failed: joint seed 0: {message}" in capsys.readouterr().err
    assert cell.epochs_done() == 2
    does(made)
    assert compare() == 0
    assert [note["resume"] for note in notes(made) if note.get("cell") == "joint-0"] == [True, True]


@pytest.mark.parametrize("config", ["other", "damaged"])
def test_an_interrupted_run_of_other_options_starts_anew(
    config: str, made: Path, compare: Compare, tmp_path: Path
) -> None:
    cell = planned(tmp_path / "out", *METHODS, "--epochs", "3")[2][0]
    interrupted(made, cell)
    content = asdict(cell.config) if config == "other" else {"epochs": "many"}
    checkpoint.write_json(cell.folder / checkpoint.CONFIG, content)
    assert compare() == 0
    assert [note["resume"] for note in notes(made) if note.get("cell") == "joint-0"] == [False]


def test_a_finished_run_of_other_options_is_not_replaced_by_accident(
    made: Path, compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare() == 0
    before = len(started(made))
    assert compare("--epochs", "3") == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'out' / 'joint' / '0'} is a finished run with other options (epochs 20, now 3)" in error
    assert len(started(made)) == before
    compare("--epochs", "3", "--replace")
    assert len(started(made)) == before + 4


def test_options_that_change_no_outcome_or_did_not_exist_are_no_other_options(tmp_path: Path) -> None:
    cell = planned(tmp_path, *METHODS)[2][1]
    finish(cell, outputs(part(6, 10)), outputs(part(6, 10)))
    stored = checkpoint.read_json(cell.folder / checkpoint.CONFIG)
    del stored["keep"], stored["image"]["size"], stored["method_options"]["margin"], stored["augment"]["gain"]
    stored |= {"cache": "elsewhere", "workers": 3, "out": "elsewhere"}
    checkpoint.write_json(cell.folder / checkpoint.CONFIG, stored)
    assert cell.state() == "finished"
    stored["method_options"]["alpha"] = 0.7
    checkpoint.write_json(cell.folder / checkpoint.CONFIG, stored)
    assert cell.state() == "finished otherwise"
    assert cell.differences() == ["method_options.alpha 0.7, now 0.1"]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal_stops_the_trainings_and_says_how_to_go_on(
    number: signal.Signals,
    times: int,
    made: Path,
    compare: Compare,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    does(made, infobridge_0=["wait", *["stubborn"] * (times > 1)])

    def interrupt() -> None:
        wait_for(made / "infobridge-0.started")
        wait_for(tmp_path / "out" / "joint" / "0" / "run.json")
        for _ in range(times):
            os.kill(os.getpid(), number)
            time.sleep(0.4)

    thread, handler = threading.Thread(target=interrupt), signal.getsignal(signal.SIGTERM)
    thread.start()
    began = time.monotonic()
    assert compare("--jobs", "2") == 128 + number
    thread.join()
    assert time.monotonic() - began < 25
    captured = capsys.readouterr()
    assert "the same command goes on:\n  python -m training.compare" in captured.err
    assert "infobridge seed 0: stopped" in captured.out and "# Comparison" not in captured.out
    assert not (tmp_path / "out" / "infobridge" / "0" / "run.json").exists()
    assert signal.getsignal(signal.SIGTERM) == handler, "handlers are put back"
    does(made)
    assert compare() == 0
    resumed = [note["cell"] for note in notes(made) if note.get("resume")]
    assert "infobridge-0" in resumed and "joint-0" not in resumed


def test_a_stopped_replacement_is_not_announced_with_the_figures_of_the_run_it_replaces(
    made: Path, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare() == 0
    capsys.readouterr()
    (made / "joint-0.started").unlink()
    does(made, joint_0=["wait"])

    def interrupt() -> None:
        wait_for(made / "joint-0.started")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert compare("--epochs", "3", "--replace") == 128 + signal.SIGINT
    thread.join()
    out = capsys.readouterr().out
    assert "joint seed 0: stopped" in out and "validation" not in out


def test_two_comparisons_do_not_share_a_folder(
    made: Path, compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = []

    def again(runner: running.Runner, job: running.Job) -> None:
        codes.append(compare())
        ended(runner, job)

    ended = running.Runner._end
    monkeypatch.setattr(running.Runner, "_end", again)
    assert compare() == 0
    assert codes == [2] * 4
    assert "is in use by another comparison" in capsys.readouterr().err
