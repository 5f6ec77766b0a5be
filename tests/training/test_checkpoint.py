"""A finished run: read back as it was, and refused in one line where it is damaged."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.tables import QUICK, Row, write_csv
from training.checkpoint import Checkpoint, clear, read, read_config
from training.command import parse
from training.errors import CheckpointError
from training.fit import main


@pytest.fixture(scope="module")
def finished(media: list[Row], decoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    options = [
        "--dataset",
        "table",
        "--dataset.path",
        write_csv(folder / "table.csv", media),
        "--cache",
        decoded,
        *QUICK,
    ]
    options += ["--modalities", "image", "text", "genomics", "--seed", "7", "--out", folder / "run"]
    assert main([str(option) for option in options]) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run that a test may damage."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text("utf-8"))
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed), "utf-8")


def test_a_run_comes_back_as_it_was(run: Path, finished: Path) -> None:
    found = read(run)
    assert found.config.seed == 7 and found.config.dataset_options.path == finished / "table.csv"
    assert found.labels == ("cat", "dog", "owl")
    assert list(found.modalities) == ["image", "text", "genomics"]
    assert found.metrics["test"]["samples"] == 9
    assert set(found.provenance) == {"versions", "data", "best_epoch"}
    assert not found.model().training


def test_a_run_may_be_moved(run: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(run, tmp_path / "elsewhere"))
    assert isinstance(read(moved), Checkpoint)
    read(moved).model()


def test_the_weights_are_those_of_the_kept_epoch(run: Path) -> None:
    one, other = read(run).model().state_dict(), read(run).model().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_configuration_survives_json(run: Path) -> None:
    content = json.loads((run / "config.json").read_text("utf-8"))
    assert read_config(content) == read(run).config


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("run.json", lambda content: content.pop("metrics") and None),
        ("run.json", lambda content: content.update(format=99)),
        ("run.json", lambda content: content.update(labels=3)),
        ("run.json", lambda content: content.update(modalities=[])),
        ("run.json", lambda content: content.update(modalities={"image": {}})),
        ("run.json", lambda content: content["modalities"]["image"].update(modality="smell")),
        ("run.json", lambda content: content["modalities"]["image"]["parameters"].update(size=-1)),
        ("run.json", lambda content: content["modalities"]["image"]["parameters"].update(colour="red")),
        ("run.json", lambda content: content["config"].update(epochs="many")),
        ("run.json", lambda content: content["config"].update(epochs=0)),
        ("run.json", lambda content: content["config"].update(colour="red")),
        ("run.json", lambda content: content["config"].pop("epochs") and None),
        ("run.json", lambda content: content["config"].update(method="nope")),
        ("run.json", lambda content: content["config"]["method_options"].update(alpha=-1)),
        ("run.json", lambda content: content["config"]["method_options"].update(colour="red")),
        ("run.json", lambda content: content["config"]["image"].update(encoder="nope")),
        ("run.json", lambda content: content["config"]["image"].update(colour="red")),
        ("run.json", lambda content: [content]),
        ("run.json", lambda content: {}),
    ],
)
def test_a_damaged_description_is_refused_in_one_line(file: str, change: Callable[[Any], Any], run: Path) -> None:
    edit(run / file, change)
    with pytest.raises(CheckpointError) as error:
        read(run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["config"]["image"].update(encoder="snn", encoder_options={}),
        lambda content: content["config"].update(fusion="nope"),
        lambda content: content["config"]["image"]["encoder_options"].update(width=16),
        lambda content: content.update(labels=["cat", "dog"]),
    ],
)
def test_a_description_of_another_model_is_refused_in_one_line(change: Callable[[Any], Any], run: Path) -> None:
    edit(run / "run.json", change)
    with pytest.raises(CheckpointError) as error:
        read(run).model()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("file", "content"), [("run.json", b"{"), ("run.json", b"\xff"), ("tokenizer.json", b"{}")])
def test_a_damaged_file_is_refused(file: str, content: bytes, run: Path) -> None:
    (run / file).write_bytes(content)
    with pytest.raises(CheckpointError):
        read(run)


@pytest.mark.parametrize("file", ["run.json", "tokenizer.json"])
def test_an_absent_file_is_refused(file: str, run: Path) -> None:
    (run / file).unlink()
    with pytest.raises(CheckpointError, match=r"not a finished run|tokenizer\.json"):
        read(run)


@pytest.mark.parametrize("kept", [0, 100, -5])
def test_damaged_weights_are_refused(kept: int, run: Path) -> None:
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected weights of this model, "):
        read(run).model()


def test_clearing_a_folder_leaves_what_is_not_of_a_run(run: Path) -> None:
    (run / "table.csv").write_text("mine", "utf-8")
    (run / "weights.safetensors").write_text("mine", "utf-8")
    clear(run)
    assert {path.name for path in run.iterdir()} == {"table.csv", "weights.safetensors"}


def test_every_option_of_the_command_line_is_stored() -> None:
    config = parse(["--dataset", "table", "--dataset.path", "x.csv", "--method.alpha", "0.3"]).config
    assert read_config(json.loads(json.dumps(asdict(config), default=str))) == config
