"""What an exported bundle holds, and what it must not hold: the maker's folders, pickle, samples, the label's side."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch.nn import BatchNorm2d

from bundle.errors import BundleError, InvalidInput
from bundle.manifest import FILE, GOLDEN, GRAPH, Manifest
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export.assemble import assemble
from export.calibrate import Wanted, measure
from export.provenance import provenance
from tests.conftest import ROOT
from tests.export.conftest import Exported
from training.checkpoint import RUN, SCORES, WEIGHTS, Checkpoint, read
from training.config import Config, TextOptions
from training.datasets.table import Table
from training.encoders.transformer import Transformer
from training.fit import main as fit

FILES = {FILE, GRAPH, GOLDEN, "model_card.md"}
SMALL = "--epochs 1 --audio.encoder.width 16 --video.encoder.width 16 --video.size 16 --dataset.samples 80".split()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A run really trained by infobridge with the label as context, on data that is gone at the export."""
    folder = tmp_path_factory.mktemp("trained")
    data, run = folder / "data", folder / "run"
    assert fit([*SMALL, "--dataset.folder", str(data), "--out", str(run), "--method.context", "semantic"]) == 0
    kept = folder / "kept"
    kept.mkdir()
    for name in (RUN, WEIGHTS, SCORES):
        shutil.copy(run / name, kept / name)
    shutil.move(data, folder / "elsewhere")
    shutil.rmtree(run)
    assemble(read(kept), folder / "bundle", "bundle")
    return Exported(read(kept), folder / "bundle")


def test_a_bundle_holds_its_files_and_no_other(every: Exported) -> None:
    expected = FILES | ({"tokenizer.json"} if "text" in every.run.modalities else set())
    assert {path.name for path in every.bundle.iterdir()} == expected
    assert set(Manifest.read(every.bundle).files) == expected - {FILE}


def test_nothing_in_a_bundle_is_pickled(every: Exported) -> None:
    with np.load(every.bundle / GOLDEN, allow_pickle=False) as golden:
        assert all(golden[name].dtype.kind in "fiu" for name in golden.files)
    assert {path.suffix for path in every.bundle.iterdir()} <= {".json", ".md", ".onnx", ".npz"}


def test_nothing_in_a_bundle_tells_the_maker_s_folders(every: Exported, trained: Exported) -> None:
    for found in (every, trained):
        for path in found.bundle.iterdir():
            content = path.read_bytes()
            for folder in (ROOT, found.run.folder, found.bundle.parent, Path.home()):
                assert str(folder).encode() + b"/" not in content, f"{folder} in {path.name}"
        for text in ((found.bundle / FILE).read_text(), (found.bundle / "model_card.md").read_text()):
            assert not re.search(r'(^|["\s(])(/|~|[A-Za-z]:[\\/])\w', text)


def told(run: Checkpoint) -> dict[str, Any]:
    """The configuration in the provenance."""
    config: dict[str, Any] = provenance(run, 0.0, measure(run, Wanted()), ())["config"]
    return config


def test_paths_among_the_options_shrink_to_their_names(one: Exported) -> None:
    text = TextOptions(encoder_options=Transformer.Options(pretrained="/home/someone/models/minilm"))
    config = Config(dataset="table", dataset_options=Table.Options(Path("/home/someone/pairs.csv")), text=text)
    found = told(replace(one.run, config=config))
    assert found["dataset_options"]["path"] == "pairs.csv"
    assert found["text"]["encoder_options"]["pretrained"] == "minilm"
    assert found["dataset"] == "table" and "out" not in found and "cache" not in found
    named = TextOptions(encoder_options=Transformer.Options(pretrained="someone/minilm"))
    found = told(replace(one.run, config=Config(text=named)))
    assert found["text"]["encoder_options"]["pretrained"] == "someone/minilm"


def test_the_provenance_is_complete(trained: Exported) -> None:
    found = Manifest.read(trained.bundle).provenance
    assert (found["dataset"], found["method"], found["seed"]) == ("demo", "infobridge", 0)
    assert found["metrics"] == trained.run.metrics and found["best_epoch"] == 1
    assert found["config"]["method_options"]["context"] == "semantic" and found["config"]["epochs"] == 1
    assert {"labels", "samples", "groups"} <= set(found["data"])
    assert {"python", "torch", "infobridge"} <= set(found["versions"])
    assert {"torch", "onnx", "onnxscript", "onnxruntime"} == set(found["export"]["versions"])
    assert 0 <= found["export"]["difference"] <= 1e-4
    calibration = found["export"]["calibration"]
    assert calibration["samples"] == found["data"]["samples"]["val"] < 50
    assert list(calibration["errors"])[:2] == ["all modalities", "audio, its share"]
    assert "at least 50 samples" in calibration["refused"]["all modalities"]
    assert json.loads((trained.bundle / FILE).read_text())["provenance"] == found


def test_the_model_card_tells_what_was_measured(trained: Exported) -> None:
    text = (trained.bundle / "model_card.md").read_text()
    for split, name in (("test", "test"), ("validation", "validation")):
        found = trained.run.metrics[split]
        own = [found["modality_accuracy"][modality] for modality in trained.run.modalities]
        figures = [rf"{value:.3f} \([^|]*\)" for value in (found["accuracy"], found["macro_f1"], *own)]
        line = r" \| ".join((rf"^\| {name}", str(found["samples"]), *figures)) + r" \|$"
        assert re.search(line, text, re.MULTILINE)
    assert "Method: infobridge; dataset: demo; seed 0." in text
    assert "generated data" in text and "Not calibrated" in text
    for label in trained.run.labels:
        assert label in text


def test_the_same_run_gives_the_same_bytes_twice(one: Exported, tmp_path: Path) -> None:
    assemble(one.run, tmp_path / "again", "snn")
    for path in one.bundle.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("name", sorted({*FILES, "tokenizer.json"}))
def test_one_changed_byte_in_any_file_is_refused(
    exported: Callable[[str], Exported], name: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported("pretrained").bundle, tmp_path / "bundle")
    content = (folder / name).read_bytes()
    if name == FILE:
        positions = [content.index(digest.encode()) for digest in Manifest.read(folder).files.values()]
    else:
        positions = [0, len(content) // 3, len(content) - 1]
    for position in positions:
        other = bytes([(content[position] - 47) % 10 + 48]) if name == FILE else bytes([content[position] ^ 1])
        (folder / name).write_bytes(content[:position] + other + content[position + 1 :])
        with pytest.raises(BundleError):
            selfcheck(Predictor(folder))
    (folder / name).write_bytes(content)
    assert selfcheck(Predictor(folder)) == 4


def constants(bundle: Path) -> dict[str, np.ndarray]:
    model = onnx.load(bundle / GRAPH)
    assert not model.functions and not model.graph.sparse_initializer
    assert not any(node.domain for node in model.graph.node)
    return {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}


def parameters(run: Checkpoint) -> int:
    return sum(tensor.numel() for tensor in run.model().parameters())


def test_nothing_of_the_label_s_side_is_in_the_graph(trained: Exported) -> None:
    """The context is the label here: with it, a critic or the memory, the answer would be given to the classifier."""
    model = onnx.load(trained.bundle / GRAPH)
    assert [entry.name for entry in model.graph.input] == ["audio", "video", "present"]
    names = [entry.name for entry in model.graph.initializer]
    for node in model.graph.node:
        names += [node.name, *node.input, *node.output]
    assert not [name for name in names if re.search("critic|memory|context|label|prototype|negative", name)]
    held = constants(trained.bundle)
    floats = sum(array.size for array in held.values() if array.dtype.kind == "f")
    channels = sum(layer.num_features for layer in trained.run.model().modules() if isinstance(layer, BatchNorm2d))
    distances = sum(buffer.numel() for buffer in trained.run.model().shifts.buffers())
    expected = parameters(trained.run) - channels + distances  # two numbers for each channel become one
    standard = 2 * 3  # mean and deviation of the colours
    heads = len(trained.run.labels)  # whose biases have had the same gradients: the graph holds them once
    sums = (1 << 2) * (2 + heads)  # who is in each coalition, and what stand-ins say in it
    assert expected - heads <= floats <= expected + standard + sums + 4
    stored = set(trained.run.model().state_dict())
    assert {name.split(".")[0] for name in stored} == {"encoders", "fusion", "stand_ins", "shifts"}


def test_a_label_is_not_taken_with_a_sample(trained: Exported) -> None:
    predictor = Predictor(trained.bundle)
    generator = np.random.default_rng(0)
    sample = {name: modality.example(generator) for name, modality in predictor.modalities.items()}
    for name in ("label", "context", "split"):
        with pytest.raises(InvalidInput, match="unknown input"):
            predictor.prepare({**sample, name: trained.run.labels[0]})


def test_the_accuracy_stated_without_a_modality_is_that_of_the_answers_without_it(trained: Exported) -> None:
    [table] = (trained.bundle.parent / "elsewhere").rglob("table.csv")
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    predictor = Predictor(trained.bundle)
    for used in (["audio", "video"], ["audio"], ["video"]):
        samples = [{name: (table.parent / row[name]).read_bytes() for name in used} for row in rows]
        right = [
            answer.predictions[0].label == row["label"]
            for answer, row in zip(predictor.predict(samples), rows, strict=True)
        ]
        stated = predictor.manifest.expectations["+".join(used)]
        assert stated.accuracy == pytest.approx(np.mean(right)) and stated.samples == len(rows)


def test_the_golden_samples_are_none_of_the_dataset(trained: Exported) -> None:
    [table] = (trained.bundle.parent / "elsewhere").rglob("table.csv")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    media = {(table.parent / row[name]).read_bytes() for row in rows for name in ("audio", "video")}
    predictor = Predictor(trained.bundle)
    known = {predictor.prepare_one("video", (table.parent / row["video"]).read_bytes()).tobytes() for row in rows}
    with np.load(trained.bundle / GOLDEN) as golden:
        for name in golden.files:
            if "/payload/" in name:
                assert golden[name].tobytes() not in media
            if name.endswith("/array/video"):
                assert golden[name].tobytes() not in known
