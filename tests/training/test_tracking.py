"""The curves of a training hold each epoch once, wherever it was interrupted, and whatever draws them."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelerate import tracking as trackers
from accelerate.utils import LoggerType

from tests.training.conftest import Fit
from tests.training.curves import curves
from tests.training.test_resume import Killed, kill_on_call
from training import checkpoint, saving, tracking
from training.fit import main

OPTIONS = ("--method", "infobridge", "--modalities", "image", "text", "--epochs", "3", "--learning-rate", "0.01")


def assert_each_epoch_once(run: Path) -> None:
    """The curves are those of history.json, in float32."""
    history = json.loads((run / "history.json").read_text("utf-8"))
    found = curves(run)
    for name, values in {
        "loss/task": [entry["loss"]["task"] for entry in history],
        "loss/information": [entry["loss"]["information"] for entry in history],
        "validation/accuracy": [entry["validation"]["accuracy"] for entry in history],
        "validation/modality_accuracy/text": [entry["validation"]["modality_accuracy"]["text"] for entry in history],
        "validation/coalition_accuracy/none": [entry["validation"]["coalition_accuracy"][""] for entry in history],
        "information": [entry["information"] for entry in history],
        "gradient_norms/task/image": [entry["gradient_norms"]["task"]["image"] for entry in history],
        "gradient_shares/text": [entry["gradient_shares"]["text"] for entry in history],
        "learning_rate": [0.01, 0.0075, 0.0025],
    }.items():
        assert [epoch for epoch, _ in found[name]] == [1, 2, 3], name
        assert [value for _, value in found[name]] == pytest.approx(values), name
    measured = checkpoint.read(run).metrics["test"]
    assert found["test/accuracy"] == [(3, float(np.float32(measured["accuracy"])))]


def test_tensorboard_shows_the_history_the_options_and_the_test(fit: Fit, table: Path, tmp_path: Path) -> None:
    assert fit(table, *OPTIONS) == 0
    assert_each_epoch_once(tmp_path / "run")
    (options,) = (tmp_path / "run" / "tensorboard").rglob("hparams.yml")
    assert "method: infobridge\n" in options.read_text() and "method_options/alpha: 0.1\n" in options.read_text()


@pytest.mark.parametrize("moment", ["saving", "telling", "told", "measured", "within"])
def test_a_resumed_training_tells_no_epoch_twice_and_leaves_none_out(
    moment: str, fit: Fit, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, close, save = tracking.Tracking.log, tracking.Tracking.close, saving.Saving.save
    with monkeypatch.context() as patched, pytest.raises(Killed):
        if moment in ("telling", "told"):  # the first call is that of the start
            patched.setattr(tracking.Tracking, "log", kill_on_call(3, log, before=moment == "telling"))
        elif moment == "measured":
            patched.setattr(tracking.Tracking, "close", kill_on_call(1, close, before=False))
        else:  # of each epoch there are three steps, and the end
            patched.setattr(saving.Saving, "save", kill_on_call(8 if moment == "saving" else 6, save, before=True))
        fit(table, *OPTIONS, "--save-minutes", "0")
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert_each_epoch_once(tmp_path / "run")
    assert len(list((tmp_path / "run" / "tensorboard").rglob("hparams.yml"))) == 1


def test_a_process_beside_the_main_one_leaves_its_curves(fit: Fit, table: Path, tmp_path: Path) -> None:
    assert fit(table, *OPTIONS) == 0
    other: Any = SimpleNamespace(is_main_process=False, trackers=[])
    with tracking.Tracking(other, checkpoint.read(tmp_path / "run").config, tmp_path / "run").running([]):
        assert_each_epoch_once(tmp_path / "run")


def test_curves_that_were_deleted_are_drawn_anew(
    fit: Fit, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(tracking.Tracking, "log", kill_on_call(3, tracking.Tracking.log, before=False))
        fit(table, *OPTIONS)
    checkpoint.clear_curves(tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert_each_epoch_once(tmp_path / "run")


def test_no_tracker_leaves_nothing_and_replacing_a_run_removes_its_curves(
    fit: Fit, table: Path, tmp_path: Path
) -> None:
    assert fit(table, *OPTIONS) == 0
    assert fit(table, *OPTIONS, "--tracker", "none", "--overwrite") == 0
    assert not (tmp_path / "run" / "tensorboard").exists() and not (tmp_path / "run" / "tracking.json").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("none", "tensorboard"), "tracker: expected none alone or different others, got none tensorboard"),
        (("tensorboard", "tensorboard"), "tracker: expected none alone or different others"),
        ((), "tracker: expected none alone or different others, got no name"),
        (("mlflow",), "tracker mlflow is not installed: `pip install mlflow`, or choose another --tracker"),
    ],
)
def test_trackers_that_cannot_be_are_refused_before_anything_is_read(
    names: tuple[str, ...],
    message: str,
    fit: Fit,
    table: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    assert fit(table, *OPTIONS, "--tracker", *names) == 2
    said = capsys.readouterr()
    assert message in said.err and "Reading" not in said.out
    assert not (tmp_path / "run" / checkpoint.STARTING).exists()


class Service:
    """Stands for the packages wandb and mlflow, as far as Accelerate and we call them."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.current: dict[str, Any] = {}
        self.started: list[dict[str, Any]] = []
        self.fails = 0

    def start(self, number: str, **settings: Any) -> dict[str, Any]:
        self.started.append(settings)
        self.current = self.runs.setdefault(number, {"points": {}, "options": {}})
        return self.current

    def take(self, values: dict[str, float], step: int, again: bool) -> None:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the server went away")
        for name, value in values.items():
            points = self.current["points"].setdefault(name, [])
            if again or not any(step == known for known, _ in points):
                points.append((step, value))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Both packages, "installed"."""
    found = Service()
    monkeypatch.setattr(trackers, "_available_trackers", [*LoggerType])

    def begin(project: str, id: str, **settings: Any) -> SimpleNamespace:
        found.start(id, project=project, **settings)
        return SimpleNamespace(
            log=lambda values, step: found.take(values, step, again=False),  # W&B drops what is not later
            finish=lambda: None,
        )

    def start_run(run_id: str | None, **settings: Any) -> SimpleNamespace:
        number = run_id or "given by the server"
        run = found.start(number, **settings)
        metrics = {name: points[-1][1] for name, points in run["points"].items()}
        return SimpleNamespace(info=SimpleNamespace(run_id=number), data=SimpleNamespace(metrics=metrics))

    wandb: Any = ModuleType("wandb")
    wandb.init, wandb.api = begin, SimpleNamespace(api_key=None)
    wandb.config = SimpleNamespace(update=lambda values, **_: found.current["options"].update(values))
    mlflow: Any = ModuleType("mlflow")
    mlflow.start_run, mlflow.search_experiments = start_run, lambda filter_string: []
    mlflow.create_experiment, mlflow.end_run = (lambda **_: "1"), lambda: None
    mlflow.log_params = lambda values: found.current["options"].update(values)
    mlflow.log_metrics = lambda values, step: found.take(values, step, again=True)  # MLflow keeps everything
    mlflow.utils = SimpleNamespace(validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return found


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
@pytest.mark.parametrize("moment", ["telling", "told"])
def test_the_other_trackers_are_told_each_epoch_once_too(
    name: str,
    moment: str,
    service: Service,
    fit: Fit,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Killed):
        log = kill_on_call(3, tracking.Tracking.log, before=moment == "telling")
        patched.setattr(tracking.Tracking, "log", log)
        fit(table, *OPTIONS, "--tracker", name, "tensorboard")
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    (run,) = service.runs.values()
    history = json.loads((tmp_path / "run" / "history.json").read_text("utf-8"))
    told = [(entry["epoch"], entry["loss"]["task"]) for entry in history]
    assert run["points"]["loss/task"] == told and run["options"]["method_options/alpha"] == 0.1
    assert [step for step, _ in run["points"]["test/accuracy"]] == [3]
    assert len(service.started) == 2
    assert_each_epoch_once(tmp_path / "run")
    if name == "wandb":  # there is no key, so nobody is asked for one
        assert {settings["mode"] for settings in service.started} == {"offline"}
        assert "no key is known" in capsys.readouterr().err


def test_a_tracker_that_fails_for_a_while_is_told_later(
    service: Service, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fails = 1
    assert fit(table, *OPTIONS, "--tracker", "mlflow") == 0
    assert "tracker mlflow failed, training goes on: the server went away" in capsys.readouterr().err
    (run,) = service.runs.values()
    assert [step for step, _ in run["points"]["loss/task"]] == [1, 2, 3]


def test_a_tracker_that_cannot_be_started_is_said_in_one_line(
    service: Service,
    fit: Fit,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(sys.modules["mlflow"], "create_experiment", fail)
    assert fit(table, *OPTIONS, "--tracker", "mlflow") == 2
    assert "error: tracker mlflow cannot be started: no route to host; choose another" in capsys.readouterr().err
    assert not checkpoint.foreign(tmp_path / "run") and not (tmp_path / "run" / "config.json").exists()
    assert fit(table, *OPTIONS) == 0, "the folder is free for another try"
