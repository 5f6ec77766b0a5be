"""`--tensorrt int8`: a symmetric graph beside the bundle's own, calibrated, measured, accepted or refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bundle.manifest import FILE, GRAPH, Manifest
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export import acceptance
from export.__main__ import main
from export.assemble import CARD
from export.data import CALIBRATED, Data
from export.errors import ExportError, NotAccepted
from export.tensorrt_int8 import SYMMETRIC, to_symmetric
from export.tensorrt_library import Library
from tests.export.conftest import Exported
from training.checkpoint import Checkpoint, read


@pytest.fixture(scope="module")
def run(with_data: Path) -> Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(with_data)
        return read(Path("runs/mine"))


@pytest.fixture(scope="module")
def bundle(rtx: Library, with_data: Path) -> Path:
    """Exported with the graph, whatever it loses: on so few samples that is chance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(with_data)
        patch.setattr(acceptance, "LARGEST_DROP", 1.0)
        patch.setattr(acceptance, "LARGEST_RISE", 1.0)
        assert main(["runs/mine", "--to", "bundles/symmetric", "--tensorrt", "int8", "--tensorrt-check"]) == 0
    return with_data / "bundles/symmetric"


def test_the_graph_stands_beside_the_bundle_s_own_and_says_what_it_costs(bundle: Path) -> None:
    manifest = Manifest.read(bundle)
    assert SYMMETRIC in manifest.files and manifest.engines == ()
    told = manifest.provenance["export"]["tensorrt_int8"]
    assert told["kind"] == "symmetric int8" and told["ways"] == {"image": "static", "text": "static"}
    assert told["samples"] == manifest.provenance["data"]["samples"]["test"] and told["calibrated"] == CALIBRATED
    assert told["before"]["accuracy"] == manifest.expectations["image+text"].accuracy
    assert told["after"]["bytes"] == (bundle / SYMMETRIC).stat().st_size < (bundle / GRAPH).stat().st_size
    assert told["before"]["bytes"] == (bundle / GRAPH).stat().st_size
    assert 0 < told["difference"] < 0.1 and manifest.provenance["export"]["quantization"] is None
    assert selfcheck(Predictor(bundle)) == 4


def test_the_card_states_it_and_how_it_is_made(bundle: Path) -> None:
    text, facts = (bundle / CARD).read_text(), Manifest.read(bundle).provenance["export"]["tensorrt_int8"]
    part = text.split("\n## TensorRT\n")[1].split("\n## ")[0]
    assert "`engines/int8.onnx`" in part and "There is no engine." in part
    before, after = facts["before"], facts["after"]
    assert f"On {facts['samples']} test samples: accuracy {before['accuracy']:.4f} -> {after['accuracy']:.4f}" in part
    assert f"ECE {before['calibration_error']:.4f} -> {after['calibration_error']:.4f}" in part
    assert "\npython -m export RUN --to BUNDLE --tensorrt int8 --tensorrt-check\n```\n" in text


def test_it_is_symmetric_around_zero_with_floating_biases(bundle: Path) -> None:
    graph = onnx.load(bundle / SYMMETRIC).graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    rounded = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert rounded and all(known[node.input[2]].dtype == np.int8 and not known[node.input[2]].any() for node in rounded)
    products = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or makers.get(node.input[1], node).op_type[:2] != "De":
            continue
        products += 1
        assert makers[node.input[0]].op_type == "DequantizeLinear"
        weight = known[makers[node.input[1]].input[0]]  # a product of two activations would have none
        assert weight.dtype == np.int8 and np.abs(weight.astype(int)).max() == 127
        assert len(node.input) < 3 or node.input[2] not in makers, "a bias is no rounded one"
    assert products >= 4


def test_a_bundle_that_has_it_is_checked_again_without_the_data(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "elsewhere")
    assert main([str(copy), "--tensorrt", "int8", "--tensorrt-check"]) == 0
    assert "parses the int8 graph and builds an engine of it" in capsys.readouterr().out


def test_what_loses_too_much_is_refused_and_leaves_nothing(
    rtx: Library,
    with_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(with_data)
    monkeypatch.setattr(acceptance, "LARGEST_DROP", -1.0)
    assert main(["runs/mine", "--to", "unwanted", "--tensorrt", "int8", "--tensorrt-check"]) == 2
    said = capsys.readouterr().err
    assert "--tensorrt int8 is refused: expected a drop of accuracy" in said
    assert "without it the bundle is exported in 32 bits" in said
    assert not list(with_data.glob("*unwanted*"))


def test_without_the_data_of_the_training_there_is_none(one: Exported) -> None:
    with pytest.raises(ExportError, match="--tensorrt int8 needs the data of the training, which was not found"):
        Data(one.run, "--tensorrt int8")


def test_it_is_measured_with_the_bundle_s_own_temperatures(
    run: Checkpoint, bundle: Path, with_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_data)
    monkeypatch.setattr(acceptance, "LARGEST_DROP", 1.0)
    copy = shutil.copytree(bundle, tmp_path / "copy")
    content = json.loads((copy / FILE).read_text())
    usual = content["provenance"]["export"]["tensorrt_int8"]
    content["calibration"]["fused"] = 0.01
    (copy / FILE).write_text(json.dumps(content))
    monkeypatch.setattr(acceptance, "LARGEST_RISE", -1.0)
    with pytest.raises(NotAccepted, match="--tensorrt int8 is refused"):
        to_symmetric(run, copy, Data(run, "--tensorrt int8"))
    monkeypatch.setattr(acceptance, "LARGEST_RISE", 1.0)
    found = to_symmetric(run, copy, Data(run, "--tensorrt int8"))
    assert found.before.accuracy == usual["before"]["accuracy"] and found.ways == usual["ways"]
    assert abs(found.before.calibration_error - usual["before"]["calibration_error"]) > 0.05
