"""The course of a training in TensorBoard, Weights & Biases or MLflow, through the trackers of Accelerate."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, filter_trackers, get_available_trackers
from accelerate.utils import ProjectConfiguration

from bundle.checking import one_line
from bundle.coalitions import JOIN
from training import checkpoint
from training.config import Config
from training.errors import CheckpointError, ConfigError
from training.schedule import learning_rate

PROJECT = "infobridge"
NONE, TENSORBOARD, WANDB, MLFLOW = "none", "tensorboard", "wandb", "mlflow"
EPOCH = "epoch"
"""A value of every epoch's, by which MLflow knows how many it has."""
LONGEST = 200
"""Characters of a tracker's error that a message repeats."""
History = Sequence[Mapping[str, Any]]


def check(names: Sequence[str]) -> list[str]:
    """The trackers that are wanted, "none" left out.

    Raises:
        ConfigError: "none" with others, none at all, one twice, or one that is not installed.
    """
    if not names or len(set(names)) < len(names) or (NONE in names and len(names) > 1):
        raise ConfigError(f"tracker: expected {NONE} alone or different others, got {' '.join(names) or 'no name'}")
    wanted = [name for name in names if name != NONE]
    available = [str(name) for name in get_available_trackers()]
    for name in wanted:
        if name not in available:
            raise ConfigError(f"tracker {name} is not installed: `pip install {name}`, or choose another --tracker")
    return wanted


class Tracking:
    """Tells trackers what each epoch found, once, however often the training is interrupted.

    An epoch's values are told after its state is saved, so the history that a resumption begins with has every epoch
    that was told, and perhaps one more. TensorBoard is told the last one again, after a mark that makes readers drop
    what stood there. W&B ignores steps that it has. MLflow is asked which it has.

    A tracker that fails while training goes on is told what it missed with the next epoch; the training does not end.

    Args:
        accelerator: whose trackers they become.
        config: the hyper-parameters, the trackers' names among them.
        folder: of the run.
    """

    def __init__(self, accelerator: Accelerator, config: Config, folder: Path) -> None:
        self.accelerator = accelerator
        self.config = config
        self.folder = folder
        self._told: dict[str, int] = {}
        self._known: Mapping[str, float] = {}

    @contextmanager
    def running(self, history: History) -> Iterator[None]:
        """Start the trackers, with the epochs that are done, and finish them at the end, however that comes.

        Only the main process has any: another that cleared the curves of an earlier training would take the folder
        from under the main one's.

        Raises:
            ConfigError: one that cannot be started.
        """
        if not self.accelerator.is_main_process:
            yield
            return
        names = check(self.config.tracker)
        try:
            self._start(names, history)
        except Exception as error:  # each library has its own
            raise ConfigError(
                f"tracker {', '.join(names)} cannot be started: {one_line(error)[:LONGEST]}; choose another --tracker"
            ) from None
        try:
            self.log(history)
            yield
        finally:
            for tracker in self.accelerator.trackers:
                with _forgiving(tracker):
                    tracker.finish()
            self.accelerator.trackers.clear()

    def log(self, history: History) -> None:
        """Tell every tracker the epochs that it has not been told."""
        for tracker in self.accelerator.trackers:
            with _forgiving(tracker):
                for entry in history[self._told.get(tracker.name, 0) :]:
                    rate = {EPOCH: entry["epoch"], "learning_rate": learning_rate(self.config, entry["epoch"] - 1)}
                    own = {name: value for name, value in entry.items() if name != "epoch"}
                    tracker.log({**rate, **flat(own)}, step=entry["epoch"])
                    self._told[tracker.name] = entry["epoch"]

    def close(self, found: Mapping[str, Any]) -> None:
        """Tell what the kept weights reach: figures by name, nested."""
        for tracker in self.accelerator.trackers:
            with _forgiving(tracker):
                values = flat(found)
                if not (tracker.name == MLFLOW and values.keys() <= self._known.keys()):
                    tracker.log(values, step=self.config.epochs)

    def _start(self, names: list[str], history: History) -> None:
        if not history:
            checkpoint.clear_curves(self.folder)
        curves = self.folder / checkpoint.CURVES
        earlier = [path.name for path in (curves / PROJECT).glob(checkpoint.EVENTS)]
        _wait_for_later_name(earlier)
        kept = _read(self.folder / checkpoint.TRACKING)
        kept.setdefault(WANDB, os.urandom(8).hex())
        settings: dict[str, dict[str, Any]] = {
            TENSORBOARD: {"purge_step": len(history)} if earlier else {},
            WANDB: {"id": kept[WANDB], "resume": "allow", "name": self.folder.name, "dir": str(self.folder)},
            MLFLOW: {"run_id": kept.get(MLFLOW), "run_name": self.folder.name},
        }
        if WANDB in names and _offline():
            settings[WANDB]["mode"] = "offline"
        if {WANDB, MLFLOW} & set(names):
            checkpoint.write_json(self.folder / checkpoint.TRACKING, kept)
        self.accelerator.project_configuration = ProjectConfiguration(str(self.folder), str(curves))
        self.accelerator.log_with = filter_trackers(names, curves)
        self.accelerator.init_trackers(PROJECT, None if history else flat(asdict(self.config), plain), settings)
        for tracker in self.accelerator.trackers:
            self._told[tracker.name] = max(0, len(history) - 1)
            if tracker.name == TENSORBOARD and not earlier:
                self._told[TENSORBOARD] = 0
            elif tracker.name == MLFLOW:
                self._known = tracker.tracker.data.metrics
                self._told[MLFLOW] = int(self._known.get(EPOCH, 0))
                checkpoint.write_json(self.folder / checkpoint.TRACKING, kept | {MLFLOW: tracker.tracker.info.run_id})


def flat(content: Mapping[str, Any], leaf: Any = float, prefix: str = "") -> dict[str, Any]:
    """Nested values as `group/name`, each made by `leaf`; names are such as every tracker takes."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = prefix + (key.replace(JOIN, " and ") or NONE)
        if isinstance(value, Mapping):
            found.update(flat(value, leaf, f"{name}/"))
        else:
            found[name] = leaf(value)
    return found


def plain(value: Any) -> bool | int | float | str:
    """A hyper-parameter as trackers take it."""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return value if isinstance(value, bool | int | float) else str(value)


@contextmanager
def _forgiving(tracker: GeneralTracker) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each library has its own
        print(f"tracker {tracker.name} failed, training goes on: {one_line(error)[:LONGEST]}", file=sys.stderr)


def _read(path: Path) -> dict[str, Any]:
    try:
        return checkpoint.read_json(path)
    except CheckpointError:
        return {}


def _wait_for_later_name(earlier: Sequence[str]) -> None:
    """TensorBoard reads files in the order of their names, which begin with the second in which they were made."""
    seconds = [int(name.split(".")[3]) for name in earlier]
    while seconds and int(time.time()) == max(seconds):
        time.sleep(0.05)


def _offline() -> bool:
    """Whether W&B would ask at the keyboard who we are: without a key it writes to disk, for `wandb sync`."""
    if "WANDB_MODE" in os.environ:
        return False
    import wandb

    with suppress(Exception):
        if wandb.api.api_key is not None:
            return False
    print("tracker wandb: no key is known (`wandb login`), so it writes offline, for `wandb sync`", file=sys.stderr)
    return True
