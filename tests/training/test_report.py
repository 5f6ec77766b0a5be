"""The program on tiny real runs: what it writes, what it refuses, and what it does where the data is gone."""

import base64
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from PIL import Image
from torch.nn import functional

from tests.training.conftest import Fit
from tests.training.tables import QUICK, Row, changed, without, write_csv
from training import checkpoint, fit, state
from training.checkpoint import read
from training.errors import DataError
from training.evaluate import Encoded
from training.report import main
from training.reporting.features import Comparable, comparable, encode_split, restore
from training.reporting.from_outputs import gradient_section
from training.reporting.run import read as read_run
from training.reporting.style import LIGHT, render

EVIL = "<script>alert('$x_')</script> & \"cat\""
NAMES = {"confidence", "confusion", "accuracy", "information", "gradients", "distance", "embedding", "realisability"}
NAMES |= {"calibration", "contributions", "deletion", "coverage", "missing", "shift", "corruptions", "balance"}
NEED_DATA = {"distance", "embedding", "realisability", "corruptions"}


def train(table: Path, out: Path, cache: Path, *options: str) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    named = ("--dataset", "table", "--dataset.path", str(table), "--out", str(out), "--cache", str(cache))
    assert fit.main([*named, *QUICK, "--epochs", "2", *options]) == 0
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, media: list[Row], decoded: Path) -> Path:
    """A finished run of three modalities; one class has a name that must be escaped."""
    place = tmp_path_factory.mktemp("finished")
    rows = [row | {"label": EVIL} if row["label"] == "cat" else row for row in media]
    table = write_csv(place / "table.csv", without(rows, "video", "image", "pathology"))
    options = ("--method.negatives-per-pair", "2", "--method.dimensions", "8", "--genomics.encoder.widths", "8", "6")
    return train(table, place / "run", decoded, *options)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The run, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("report")))


class Elements(HTMLParser):
    """Collects tags with attributes, and refuses tags that are not closed."""

    VOID = ("meta", "img", "source")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def elements(path: Path) -> Elements:
    parser = Elements()
    parser.feed(path.read_text("utf-8"))
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def reported(folder: Path, decoded: Path) -> Path:
    """The run's report, made within its folder."""
    kept = {path.name for path in decoded.iterdir()}
    assert main([str(folder)]) == 0
    assert {path.name for path in decoded.iterdir()} == kept, "decoded samples were found in the training's cache"
    return folder / "report"


def test_a_report_is_a_page_and_a_picture_for_each_figure(reported: Path) -> None:
    assert {path.name for path in reported.iterdir()} == {"report.html", "measured.json", "figures"}
    assert {path.stem for path in (reported / "figures").iterdir()} == NAMES
    for path in (reported / "figures").iterdir():
        with Image.open(path) as picture:
            assert picture.width == 1120 and picture.height > 200


def test_the_page_stands_alone_and_escapes_every_text(reported: Path) -> None:
    page = elements(reported / "report.html")
    tags = [tag for tag, _ in page.found]
    assert "script" not in tags and EVIL in page.text
    links = [value for _, found in page.found for name, value in found.items() if name in ("src", "srcset", "href")]
    assert len(links) == 2 * len(NAMES)
    for link in links:
        assert link is not None and link.startswith("data:image/png;base64,")
        with Image.open(BytesIO(base64.b64decode(link.split(",")[1]))) as picture:
            picture.verify()
    assert "url(" not in (reported / "report.html").read_text("utf-8")
    pictures = [found for tag, found in page.found if tag == "img"]
    assert all(len(found["alt"] or "") > 40 for found in pictures)
    assert any(found.get("name") == "viewport" for _, found in page.found)


def test_the_page_tells_the_facts_of_the_run(reported: Path, folder: Path) -> None:
    text = elements(reported / "report.html").text
    run = read(folder)
    for split, name in (("validation", "validation"), ("test", "test")):
        found = run.metrics[split]
        figures = [found["accuracy"], found["macro_f1"], *found["modality_accuracy"].values()]
        assert name + "".join(f"{100 * value:.1f}" for value in figures) + str(found["samples"]) in text
    for fact in ("negatives_per_pair 2", "18 training, 9 validation, 9 test", "audio by convolutional", "Seed"):
        assert fact in text
    assert f"kept {run.provenance['best_epoch']}" in text
    for sentence in ("mutual information is the same under bijections", "as the last epoch, 2, left them", "MMD²"):
        assert sentence in text


def test_gradients_of_terms_that_come_and_go_are_told_where_they_are(folder: Path) -> None:
    run = read_run(folder)
    first, last = run.history
    norms = {"task": {"audio": 0.5, "text": 0.25}}
    memory = {"memory": dict.fromkeys(run.checkpoint.modalities, 1.0)}
    epochs = [replace(first, gradient_norms=norms | memory), replace(last, gradient_norms=norms)]
    section = gradient_section(replace(run, history=epochs))
    assert section.alt == "Gradient norms over 2 epochs. In the last one, task: audio 0.5, text 0.25."
    for part in ("the norm is 0, or the loss of that epoch has no such term", "OGM-GE and MMPareto change"):
        assert part in section.text
    assert section.draw is not None and render(section.draw, LIGHT).startswith(b"\x89PNG")
    epochs[-1] = replace(last, gradient_norms={})
    assert gradient_section(replace(run, history=epochs)).alt.endswith("In the last one there are none.")


def test_training_again_takes_the_report_of_the_earlier_run_away(copied: Path, reported: Path) -> None:
    shutil.copytree(reported, copied / "report")
    checkpoint.clear(copied)
    assert not any(copied.iterdir())


def test_what_is_not_of_the_report_stays(tmp_path: Path) -> None:
    (tmp_path / "report" / "figures").mkdir(parents=True)
    for name in ("report/notes.txt", "report/report.html", "report/figures/mine.svg"):
        (tmp_path / name).write_text("mine")
    checkpoint.clear(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["mine.svg", "notes.txt"]
    assert checkpoint.foreign(tmp_path) == ["report"]


@pytest.fixture(scope="module")
def features(folder: Path) -> Encoded:
    AcceleratorState._reset_state(reset_partial_state=True)
    run = read(folder)
    return encode_split(run, restore(run), "test", Accelerator(cpu=True))


def test_the_model_sees_what_it_was_trained_with(folder: Path, features: Encoded) -> None:
    run = read_run(folder)
    shares = run.checkpoint.model().fusion(features.features)
    for name, share in run.scores["test"].shares.items():
        np.testing.assert_allclose(shares[name].detach().numpy(), share, atol=1e-5)
    assert features.samples.tolist() == run.scores["test"].samples.tolist()


def test_distances_are_between_projections_of_the_last_epoch(folder: Path, features: Encoded) -> None:
    run, accelerator = read(folder), Accelerator(cpu=True)
    found = comparable(run, restore(run), features, accelerator)
    assert isinstance(found, Comparable)
    content = state.load(folder / checkpoint.STATE)
    model = run.model()
    model.load_state_dict(content["model"])
    last = encode_split(run, restore(run), "test", accelerator, model)
    for name, values in last.features.items():
        weight, bias = (content["method"][f"critic.projections.{name}.{part}"] for part in ("weight", "bias"))
        expected = functional.normalize(values @ weight.T + bias, dim=1)
        np.testing.assert_allclose(found.vectors[name], expected, atol=1e-6)


def test_without_its_state_the_distance_is_left_out(copied: Path, features: Encoded) -> None:
    (copied / "state.json").unlink()
    run = read(copied)
    found = comparable(run, restore(run), features, Accelerator(cpu=True))
    assert isinstance(found, str) and "deleted" in found


@pytest.mark.parametrize(
    ("method", "widths", "expected"), [("joint", "6", "audio 8, genomics 6"), ("pmr", "8", ""), ("infonce", "6", "")]
)
def test_other_methods_compare_projections_or_features_of_one_width(
    method: str, widths: str, expected: str, fit: Fit, table: Path, tmp_path: Path
) -> None:
    options = ("--method", method, "--modalities", "audio", "genomics", "--genomics.encoder.widths", 8, widths)
    assert fit(table, *options) == 0
    run, accelerator = read(tmp_path / "run"), Accelerator(cpu=True)
    prepared = restore(run)
    kept = encode_split(run, prepared, "test", accelerator)
    found = comparable(run, prepared, kept, accelerator)
    if expected:
        assert isinstance(found, str) and expected in found
        return
    assert isinstance(found, Comparable)
    assert ("projections" in found.meaning) == (method == "infonce")
    for name, vectors in found.vectors.items():
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
        if method == "pmr":
            np.testing.assert_allclose(vectors, functional.normalize(kept.features[name], dim=1), atol=1e-6)


@pytest.fixture
def own(fit: Fit, rows: list[Row], tmp_path: Path) -> Path:
    """A run whose data may be removed."""
    shutil.copy(rows[0]["audio"], tmp_path / "own.wav")
    table = write_csv(tmp_path / "own.csv", changed(rows, 0, audio=str(tmp_path / "own.wav")))
    assert fit(table, "--method", "joint", "--modalities", "audio", "genomics") == 0
    return tmp_path / "run"


def test_without_its_data_a_run_has_the_figures_that_need_none(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own.parent / "own.csv").unlink()
    (own / "report" / "figures").mkdir(parents=True)
    (own / "report" / "figures" / "embedding.png").write_text("of an earlier report")
    capsys.readouterr()
    assert main([str(own)]) == 0
    assert "found no file" in capsys.readouterr().err
    made = {path.stem for path in (own / "report" / "figures").iterdir()}
    assert made == NAMES - NEED_DATA - {"information"}
    text = elements(own / "report" / "report.html").text
    assert "found no file" in text and text.count("Left out") == len(NEED_DATA)
    assert "The method joint estimates no information." in text


def test_data_that_changed_is_not_the_data_of_the_training(own: Path, rows: list[Row]) -> None:
    write_csv(own.parent / "own.csv", changed(rows, 0, audio=str(own.parent / "own.wav"), label="owl"))
    with pytest.raises(DataError, match="moved, copied or changed"):
        restore(read(own))


def test_a_file_that_is_gone_is_said_in_one_line(own: Path) -> None:
    (own.parent / "own.wav").unlink()
    with pytest.raises(DataError, match=r"^1 row of .* cannot be used:$"):
        restore(read(own))


def damage_run(run: Path) -> None:
    (run / "run.json").write_text("{")


def damage_metrics(run: Path) -> None:
    path = run / "run.json"
    path.write_text(path.read_text().replace('"macro_f1"', '"macro"'))


def damage_history(run: Path) -> None:
    (run / "history.json").write_text("[{}]")


def damage_scores(run: Path) -> None:
    (run / "scores.safetensors").write_bytes(b"none")


def damage_state(run: Path) -> None:
    next(run.glob("state-*.safetensors")).write_bytes(b"none")


def damage_weights(run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"none")


def leave_unfinished(run: Path) -> None:
    (run / "run.json").unlink()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "run": (damage_run, "run.json"),
    "metrics": (damage_metrics, "run.json cannot be read: KeyError 'macro_f1'"),
    "history": (damage_history, "history.json cannot be read"),
    "scores": (damage_scores, "scores.safetensors"),
    "state": (damage_state, "no usable training state"),
    "weights": (damage_weights, "model.safetensors"),
    "unfinished": (leave_unfinished, "is not a finished run: it has no run.json"),
    "absent": (shutil.rmtree, "found no folder"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_run_that_cannot_be_read_is_one_line(
    damage: Callable[[Path], None], message: str, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(copied)
    assert main([str(copied), "--to", str(tmp_path / "to")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
    assert not (tmp_path / "to" / "report.html").exists()


def test_without_a_run_there_is_nothing_to_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "expected the folder of a finished run" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(folder), "--to", str(tmp_path / "file")]) == 2
    assert "file cannot be written" in capsys.readouterr().err


def test_the_help_says_what_one_and_several_runs_give(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--help"])
    assert not ending.value.code
    text = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    for part in ("several runs that differ in α and seed alone", "in the folder that holds them all", "--to"):
        assert part in text
