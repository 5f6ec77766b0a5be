"""The program: options and folders it refuses, what it writes, and that a seed decides everything."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import Fit, Refused
from tests.training.tables import Row, as_nobody, changed, write_csv
from training import checkpoint, loop
from training.checkpoint import read
from training.fit import main
from training.methods.joint import Joint

FILES = {
    "config.json", "data.json", "splits.csv", "history.json", "run.json", "state.json", "tokenizer.json",
    "model.safetensors", "best.safetensors", "scores.safetensors",
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--epochs 0", "epochs must be at least 1, not 0"),
        ("--batch-size 1", "batch_size must be at least 2, not 1"),
        ("--learning-rate 0", "learning_rate must be a positive number, not 0.0"),
        ("--learning-rate nan", "learning_rate must be a positive number, not nan"),
        ("--method infobridge --method.alpha -1", "method.alpha must be a number and not negative"),
        ("--method infobridge --method.alpha inf", "method.alpha must be a number and not negative"),
        ("--image.size 0", "image: size: expected a whole number from 1 to 4096, found 0"),
        ("--image.size -3", "image: size: expected a whole number from 1 to 4096, found -3"),
        ("--pathology.size 0", "pathology: size: expected a whole number from 1"),
        ("--video.size 0", "video: size: expected a whole number from 1"),
        ("--video.frames 0", "video: frames: expected a whole number from 1 to 1024, found 0"),
        ("--audio.seconds -1", "audio: seconds: expected a finite number over 0, found -1.0"),
        ("--audio.seconds nan", "audio: seconds: expected a finite number over 0, found nan"),
        ("--audio.rate 10", "audio: rate: expected a whole number from 1000"),
        ("--audio.window 1000000", "audio: window: expected a whole number from 2"),
        ("--audio.hop 0", "audio: hop: expected a whole number from 1"),
        ("--audio.bins -1", "audio: bins: expected a whole number from 0"),
        ("--text.max-length 1", "text: max_length: expected a whole number from 3"),
        ("--text.vocabulary 0", "text.vocabulary must be from 5"),
        ("--text.encoder.heads 3", "encoder.width must be a multiple of heads, not 8 of 3"),
        ("--text.encoder.layers 0", "encoder.layers must be at least 1, not 0"),
        ("--text.encoder.dropout 1.5", "encoder.dropout must be from 0 up to, not including, 1"),
        ("--image.encoder.blocks 0", "encoder.blocks must be from 1 to 12, not 0"),
        ("--image.encoder.width 1", "encoder.width must be at least 2^(blocks - 1), 2, not 1"),
        ("--genomics.encoder.widths 0", "encoder.widths must be one or more positive numbers"),
        ("--genomics.encoder.dropout nan", "encoder.dropout"),
        ("--augment.crop 0", "augment.crop must be over 0 and at most 1, not 0.0"),
        ("--modalities text smell", "unknown modality 'smell'; known are"),
        ("--modalities text", "expected two or more different modalities, got text"),
        ("--method nope", "unknown name 'nope' in methods; known are"),
        ("--fusion nope", "unknown name 'nope' in fusion; known are concat"),
        ("--image.encoder transformer", "encoder transformer takes text, not image"),
        (
            "--text.encoder.pretrained /no/such/folder",
            "--text.encoder.pretrained: found no folder '/no/such/folder'; expected a folder",
        ),
        ("--method infobridge --method.context nope", "unknown name 'nope' in conditions; known are"),
        ("--precision fp16", "precision fp16 cannot be had on this machine"),
        ("--cache /dev/null", "--cache /dev/null cannot be written"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: str, message: str, refused: Refused, table: Path) -> None:
    (line,) = refused(table, *options.split())
    assert line.startswith(message) or (message in line and "Error" not in line)


def test_pretrained_pictures_that_are_not_there_are_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--dataset", "table", "--dataset.path", str(table), "--out", str(tmp_path / "run"), "--modalities"]
    options += ["image", "genomics", "--image.encoder", "resnet", "--image.encoder.pretrained", "./nowhere"]
    assert main(options) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: --image.encoder.pretrained: found no folder './nowhere'; expected a folder in")


def test_an_unknown_dataset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "nope"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown name 'nope' in datasets; known are ave, cremad, demo")


def test_a_hub_id_that_cannot_be_reached_is_refused_with_the_way_out(
    refused: Refused, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (line,) = refused(table, "--text.encoder.pretrained", "nobody/has-such-a-model")
    assert "cannot be reached, and no whole 'nobody/has-such-a-model' was downloaded" in line
    assert "without the option, training starts from random weights" in line


def test_out_that_is_a_file_is_refused(refused: Refused, table: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine", "utf-8")
    with pytest.raises(NotADirectoryError):
        (tmp_path / "run" / "config.json").stat()
    (line,) = refused(table)
    assert line == f"--out {tmp_path / 'run'}: expected a folder, found a file"
    assert (tmp_path / "run").read_text("utf-8") == "mine"


@pytest.mark.parametrize("out", ["/proc/nothing/here", "/dev/null/run"])
def test_out_that_cannot_be_made_is_refused(
    out: str, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(table, out=Path(out)) == 2
    assert capsys.readouterr().err.startswith(f"error: --out {out}")


def test_out_that_is_not_writable_is_refused(fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with as_nobody():
        assert fit(table, out=Path("/usr/run")) == 2
    assert capsys.readouterr().err == "error: --out /usr/run cannot be written: Permission denied\n"


def test_out_that_holds_a_run_is_refused_unless_it_is_to_be_overwritten(
    fit: Fit, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("--method", "joint", "--modalities", "image", "genomics")
    assert fit(table, *quick) == 0
    (tmp_path / "run" / "notes.txt").write_text("mine", "utf-8")
    before = (tmp_path / "run" / "run.json").read_bytes()
    capsys.readouterr()
    assert fit(table, *quick) == 2
    assert "holds a run; choose another --out, --resume it, or --overwrite it" in capsys.readouterr().err
    broken = write_csv(tmp_path / "broken.csv", [{"label": "cat", "image": "nowhere.png", "gene_0": "1"}])
    assert fit(broken, *quick, "--overwrite") == 2
    assert (tmp_path / "run" / "run.json").read_bytes() == before, "kept until the new data is known to be good"
    assert fit(table, *quick, "--overwrite", "--seed", "1") == 0
    assert read(tmp_path / "run").config.seed == 1
    assert (tmp_path / "run" / "notes.txt").read_text("utf-8") == "mine", "only the run's own files are replaced"


def test_a_loss_that_is_no_number_ends_the_training(
    fit: Fit, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Joint, "loss", lambda self, out, batch: {"task": out.logits.sum() * math.nan})
    assert fit(table, "--method", "joint", "--modalities", "image", "genomics") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: expected a finite loss, found task nan in epoch 1; a lower --learning-rate")
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_interruption_from_the_keyboard_says_how_to_go_on(
    fit: Fit, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "_epoch", interrupt)
    assert fit(table, "--modalities", "image", "genomics") == 130
    assert capsys.readouterr().err == "interrupted; --resume goes on from where it was saved last\n"


def test_a_full_disk_is_one_line(
    fit: Fit, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device", "history.json")

    monkeypatch.setattr(checkpoint, "write_json", fill)
    assert fit(table, "--modalities", "image", "genomics") == 2
    assert capsys.readouterr().err == "error: No space left on device: history.json\n"


def test_a_run_holds_safetensors_json_and_csv_only_and_run_json_is_written_last(
    fit: Fit, table: Path, tmp_path: Path
) -> None:
    assert fit(table, "--modalities", "image", "text") == 0
    folder = tmp_path / "run"
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["tensorboard"]
    files = [path for path in folder.iterdir() if path.is_file()]
    found = {path.name for path in files}
    states = {name for name in found if name.startswith("state-")}
    assert len(states) == 1 and found - states == FILES
    last = (folder / "run.json").stat().st_mtime_ns
    assert all(path.stat().st_mtime_ns <= last for path in files)
    for path in files:
        if path.suffix == ".safetensors":
            assert load_file(path)
        elif path.suffix == ".json":
            json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("method", ["joint", "infobridge"])
def test_two_runs_of_one_configuration_are_identical(method: str, fit: Fit, table: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert fit(table, "--method", method, "--epochs", "2", out=tmp_path / name) == 0
    one, other = read(tmp_path / "one"), read(tmp_path / "other")
    assert one.metrics == other.metrics
    for file in ("history.json", "splits.csv", "data.json", "tokenizer.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    weights, same = (
        load_file(tmp_path / "one" / "model.safetensors"),
        load_file(tmp_path / "other" / "model.safetensors"),
    )
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_another_seed_gives_other_weights(fit: Fit, table: Path, tmp_path: Path) -> None:
    quick = ("--method", "joint", "--modalities", "image", "genomics", "--seed")
    for seed in ("0", "1"):
        assert fit(table, *quick, seed, out=tmp_path / seed) == 0
    one, other = (load_file(tmp_path / seed / "model.safetensors") for seed in ("0", "1"))
    assert not torch.equal(one["fusion.heads.image.weight"], other["fusion.heads.image.weight"])


def test_missing_gene_cells_are_imputed_not_refused(fit: Fit, rows: list[Row], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", changed(rows, 3, gene_0="", gene_1="NA", gene_2="NaN"))
    assert fit(path, "--method", "joint", "--modalities", "image", "genomics") == 0
