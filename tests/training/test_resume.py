"""An interrupted training that is resumed ends bit for bit where an uninterrupted one does."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import save_file

from tests.training.conftest import Fit
from tests.training.tables import QUICK, Row, changed, write_csv
from training import catalog, checkpoint, preparation, saving, state
from training.checkpoint import read
from training.fit import main

METHODS = {
    "joint": ("joint",),
    "modality dropout": ("joint", "--modality-dropout", "0.4"),
    "bridge": ("infobridge", "--method.memory", "32"),
    "alternating bridge": ("infobridge", "--method.memory", "32", "--method.update", "alternate"),
    "infonce": ("infonce", "--method.memory", "32"),
    "modulated gradients": ("ogm_ge",),
    "prototypes": ("pmr", "--method.momentum", "0.3"),
    "integrated gradients": ("mmpareto",),
    "assisted": ("assisted",),
    "unimodal": ("unimodal",),
    "relearning": ("relearning", "--method.every", "1", "--method.times", "2"),
    "boosting": ("reconboost", "--method.alternation-epochs", "1", "--method.rectification-epochs", "1"),
    "long phases": ("reconboost", "--method.alternation-epochs", "2", "--method.rectification-epochs", "2"),
}
WEIGHTS = tuple(f"{name}.safetensors" for name in ("model", "best", "scores"))
FILES = ("history.json", "data.json", "splits.csv", "tokenizer.json", *WEIGHTS)
OPTIONS = ("--modalities", "image", "text", "--epochs", "4")


class Killed(BaseException):
    """What nothing in the program catches."""


def kill_on_call(number: int, function: Callable[..., Any], before: bool) -> Callable[..., Any]:
    """`function`, but its call with this number raises, before or after the work is done."""
    calls = 0

    def replaced(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and before:
            raise Killed
        result = function(*arguments, **named)
        if calls == number:
            raise Killed
        return result

    return replaced


def counting(calls: list[int], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which notes each of its calls."""

    def replaced(*arguments: Any, **named: Any) -> Any:
        calls.append(len(calls))
        return function(*arguments, **named)

    return replaced


def assert_same_runs(one: Path, other: Path) -> None:
    """Weights of model, method and optimiser, random states, history, scores and metrics."""
    first, second = state.load(one / checkpoint.STATE), state.load(other / checkpoint.STATE)
    assert flat(first).keys() == flat(second).keys()
    for name, value in flat(first).items():
        found = flat(second)[name]
        if isinstance(value, torch.Tensor):
            assert value.dtype == found.dtype and value.shape == found.shape, name
            assert value.numpy().tobytes() == found.numpy().tobytes(), name  # not-a-numbers too
        else:
            assert value == found, name
    for file in (
        "model.safetensors",
        "best.safetensors",
        "scores.safetensors",
        "history.json",
        "data.json",
        "splits.csv",
        "tokenizer.json",
    ):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    assert read(one).metrics == read(other).metrics and read(one).verdict == read(other).verdict != ()


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """A nested state as one mapping of path to value."""
    if isinstance(value, dict):
        return {path: leaf for key, entry in value.items() for path, leaf in flat(entry, f"{name}/{key}").items()}
    if isinstance(value, list):
        return {path: leaf for key, entry in enumerate(value) for path, leaf in flat(entry, f"{name}/{key}").items()}
    return {name: value}


@pytest.fixture(scope="module")
def whole(media: list[Row], decoded: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An uninterrupted run of each method."""
    folder = tmp_path_factory.mktemp("whole")
    table = write_csv(folder / "table.csv", media)
    for name, method in METHODS.items():
        AcceleratorState._reset_state(reset_partial_state=True)
        options = ("--dataset", "table", "--dataset.path", table, "--out", folder / name, "--cache", decoded)
        assert main([*map(str, options), *QUICK, "--method", *method, *OPTIONS]) == 0
    return {name: folder / name for name in METHODS}


def test_every_method_is_resumed_here() -> None:
    assert {method for method, *_ in METHODS.values()} == set(catalog.names("methods"))


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(("epochs", "minutes"), [(1, "10"), (3, "0")])
def test_a_training_killed_within_an_epoch_goes_on_exactly(
    method: str,
    epochs: int,
    minutes: str,
    fit: Fit,
    table: Path,
    tmp_path: Path,
    whole: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the end of the last epoch, or from the last step where each is saved."""
    options = ("--method", *METHODS[method], *OPTIONS, "--save-minutes", minutes)
    steps = 3 * epochs + 2  # three batches an epoch
    steps_done: list[int] = []
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.AdamW, "step", kill_on_call(steps, torch.optim.AdamW.step, before=False))
        fit(table, *options)
    assert not (tmp_path / "run" / "run.json").exists()
    assert len(json.loads((tmp_path / "run" / "history.json").read_text("utf-8"))) == epochs
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", counting(steps_done, torch.optim.AdamW.step))
        assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert len(steps_done) == (3 * (4 - epochs) if minutes == "10" else 3 * 4 - steps + 1), "steps are not done twice"
    assert_same_runs(whole[method], tmp_path / "run")


@pytest.mark.parametrize("moment", ["tensors", "json", "weights", "history"])
def test_a_training_killed_while_it_saves_goes_on_exactly(
    moment: str, fit: Fit, table: Path, tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--method", *METHODS["bridge"], *OPTIONS)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        if moment == "tensors":  # after the tensors of the second epoch, before the JSON that names them
            patched.setattr("training.state.save_file", kill_on_call(2, save_file, before=False))
        elif moment == "json":  # the JSON is written aside but not renamed
            patched.setattr("training.state.os.replace", kill_on_call_for("state.json", 2))
        elif moment == "weights":
            patched.setattr(checkpoint, "save_weights", kill_on_call(1, checkpoint.save_weights, before=False))
        else:
            patched.setattr(saving.Saving, "save", kill_on_call(2, saving.Saving.save, before=True))
        fit(table, *options)
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert_same_runs(whole["bridge"], tmp_path / "run")
    assert len(list((tmp_path / "run").glob("state-*"))) == 1, "what a kill left behind is gone"


def kill_on_call_for(name: str, number: int) -> Callable[..., None]:
    """`os.replace`, but it raises when it would write the file of that name for the given time."""
    calls, replace = 0, os.replace

    def replaced(source: Path, target: Path) -> None:
        nonlocal calls
        calls += target.name == name
        if target.name == name and calls == number:
            raise Killed
        replace(source, target)

    return replaced


def test_a_training_killed_before_run_json_only_measures_again(
    fit: Fit, table: Path, tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--method", "joint", *OPTIONS)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(checkpoint, "finish", kill_on_call(1, checkpoint.finish, before=True))
        fit(table, *options)
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert_same_runs(whole["joint"], tmp_path / "run")


def test_a_training_killed_in_its_first_epoch_starts_over(
    fit: Fit,
    table: Path,
    tmp_path: Path,
    whole: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--method", "joint", *OPTIONS)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.AdamW, "step", kill_on_call(1, torch.optim.AdamW.step, before=False))
        fit(table, *options)
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert "Resuming before the first epoch" in capsys.readouterr().err
    assert_same_runs(whole["joint"], tmp_path / "run")


@pytest.fixture
def interrupted(fit: Fit, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was killed in its second epoch."""
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.AdamW, "step", kill_on_call(4, torch.optim.AdamW.step, before=False))
        fit(table, "--method", "joint", *OPTIONS)
    return tmp_path / "run"


def test_an_interrupted_run_is_not_replaced_by_accident(
    interrupted: Path, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(table, "--method", "joint", *OPTIONS) == 2
    assert f"--out {interrupted} holds a run; choose another --out, --resume it" in capsys.readouterr().err


def test_a_run_that_was_moved_is_resumed_where_it_is(interrupted: Path, fit: Fit, table: Path) -> None:
    moved = interrupted.rename(interrupted.with_name("moved"))
    assert main(["--out", str(moved), "--resume"]) == 0
    assert (moved / "run.json").exists() and not interrupted.exists()


@pytest.mark.parametrize("change", ["text", "file", "label", "fewer rows"])
def test_a_run_is_not_resumed_on_other_data(
    change: str, interrupted: Path, fit: Fit, table: Path, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    if change == "file":
        copy = interrupted.parent / "copy.png"
        copy.write_bytes(Path(rows[5]["image"]).read_bytes())
        write_csv(table, changed(rows, 5, image=str(copy)))
    elif change == "fewer rows":
        write_csv(table, rows[:-1])
    else:
        write_csv(table, changed(rows, 5, **{change: "dog" if change == "label" else "other words"}))
    before = {path.name: path.read_bytes() for path in interrupted.rglob("*.*") if path.is_file()}
    assert main(["--out", str(interrupted), "--resume"]) == 2
    assert "the data is not that of the interrupted run" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in interrupted.rglob("*.*") if path.is_file()} == before


def test_nothing_is_resumed_where_there_is_no_run(
    fit: Fit, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 2
    message = f"error: {tmp_path / 'run'} holds no run to resume; without --resume, one is started there\n"
    assert capsys.readouterr().err == message


def test_to_resume_a_finished_run_is_to_do_nothing(
    fit: Fit, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever starts a training again and again until it succeeds may have killed it just before it ended."""
    assert fit(table, "--method", "joint", "--modalities", "image", "text") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert "is finished, there is nothing to resume" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before
    assert main(["--out", str(tmp_path / "run"), "--resume", "--epochs", "9"]) == 2, "that would not be the same run"


@pytest.mark.parametrize("before", ["nothing", "a finished run"])
def test_a_training_killed_while_it_reads_its_data_starts_over(
    before: str,
    fit: Fit,
    table: Path,
    tmp_path: Path,
    whole: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if before == "a finished run":
        assert fit(table, "--method", "joint", "--modalities", "image", "text") == 0
    options = ("--method", "joint", *OPTIONS, *(["--overwrite"] if before == "a finished run" else []))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("training.preparation.decode_all", kill_on_call(1, preparation.decode_all, before=True))
        fit(table, *options)
    capsys.readouterr()
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert "Resuming before the first epoch" in capsys.readouterr().err
    assert_same_runs(whole["joint"], tmp_path / "run")
    assert not (tmp_path / "run" / checkpoint.STARTING).exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("state.json", b"{"),
        ("state.json", b"[]"),
        ("state.json", b'{"tensors": "gone.safetensors", "tree": []}'),
        ("config.json", b"{}"),
        ("config.json", b"nonsense"),
        ("data.json", b"[]"),
    ],
)
def test_a_damaged_run_is_one_line(
    file: str, content: bytes, interrupted: Path, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (interrupted / file).write_bytes(content)
    capsys.readouterr()
    assert main(["--out", str(interrupted), "--resume"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_the_state_of_another_training_is_refused(
    interrupted: Path, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.save({"model": {"weight": torch.zeros(2)}}, interrupted / "state")
    assert main(["--out", str(interrupted), "--resume"]) == 2
    assert "is of another training" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "error"),
    [("training.randomness.set_random_state", torch.OutOfMemoryError), ("training.state.load_file", MemoryError)],
)
def test_want_of_memory_is_not_taken_for_an_unusable_state(
    place: str, error: type[Exception], interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error("out of memory")

    with monkeypatch.context() as patched, pytest.raises(error):
        patched.setattr(place, fail)
        main(["--out", str(interrupted), "--resume"])
    assert main(["--out", str(interrupted), "--resume"]) == 0


def test_options_that_differ_from_the_stored_ones_are_refused(
    fit: Fit, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.AdamW, "step", kill_on_call(5, torch.optim.AdamW.step, before=False))
        fit(table, "--method", "infobridge", "--epochs", "2")
    resume = ["--out", str(tmp_path / "run"), "--resume", "--method", "infobridge"]
    assert main([*resume, "--learning-rate", "0.5", "--method.alpha=0.7", "--augment.no-flip"]) == 2
    assert "differ in --learning-rate, --method.alpha, --augment.no-flip; leave" in capsys.readouterr().err
    assert main([*resume, "--epochs", "2"]) == 0


def test_options_that_change_nothing_may_be_given_anew(
    interrupted: Path, fit: Fit, table: Path, whole: dict[str, Path]
) -> None:
    resume = ["--out", str(interrupted), "--resume", "--tracker", "none", "--save-minutes", "0", "--workers", "1"]
    assert main(resume) == 0
    assert_same_runs(whole["joint"], interrupted)


def test_a_folder_of_other_files_is_not_taken_for_a_run(
    fit: Fit, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert fit(table, "--overwrite") == 2
    assert "holds other files, such as thesis.txt" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]
