"""`python -m export --quantize int8`: which parts compute in eight bits, what that costs, and when it is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from bundle.manifest import GRAPH, Manifest
from bundle.modalities import Array
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export import acceptance
from export.__main__ import main
from export.acceptance import Acceptance, Figures, accept
from export.errors import ExportError, NotAccepted
from export.feeds import Feed, masked, random_feed
from export.parity import load, run
from export.promises import farthest_alone, prove_absence, prove_coalitions
from export.quantize import quantize
from export.rows import LARGEST_INPUT, LARGEST_WEIGHT, quantize_rows
from export.towers import Tower, find_tower, name_nodes
from tests.bundles import build_bundle
from tests.export.conftest import Exported
from tests.trained import held_out, payloads
from training.checkpoint import Checkpoint, read

NAMES = ("image", "text")
DYNAMIC = ("text", "genomics")
FIGURES = Acceptance(
    "int8", {"image": "static"}, Figures(0.9, 0.03, 1000), Figures(0.9, 0.03, 300), 200, 128, 0.01, 1e-4
)


def feeds(run: Checkpoint, count: int = 3) -> list[Feed]:
    generator = np.random.default_rng(0)
    found = [random_feed(run.modalities, 4, generator) for _ in range(count)]
    return [masked(feed, np.ones(len(run.modalities), np.bool_)) for feed in found]


@pytest.fixture(scope="module")
def made() -> dict[Path, onnx.ModelProto]:
    return {}


@pytest.fixture
def quantized(every: Exported, made: dict[Path, onnx.ModelProto]) -> onnx.ModelProto:
    if every.bundle not in made:
        model = onnx.load(every.bundle / GRAPH)
        ways = quantize(model, tuple(every.run.modalities), feeds(every.run))
        assert ways == {name: "dynamic" if name in DYNAMIC else "static" for name in every.run.modalities}
        made[every.bundle] = model
    return made[every.bundle]


def test_encoders_are_quantised_and_nothing_else(every: Exported, quantized: onnx.ModelProto) -> None:
    before = onnx.load(every.bundle / GRAPH)
    kept = {tensor.name: tensor for tensor in quantized.graph.initializer}
    for tensor in before.graph.initializer:
        if ".encoders." not in tensor.name and tensor.name.startswith("model."):
            assert kept[tensor.name].raw_data == tensor.raw_data, tensor.name
    makers = {name: node for node in quantized.graph.node for name in node.output}
    for node in quantized.graph.node:
        if node.op_type == "Conv":
            assert all(makers[name].op_type == "DequantizeLinear" for name in node.input[:2])
        if node.op_type in ("MatMul", "Gemm"):
            assert not node.input[1].startswith("model.encoders."), node.name
            assert all(name not in makers or makers[name].op_type != "DequantizeLinear" for name in node.input)
    for name in every.run.modalities:
        kinds = {node.op_type for node in quantized.graph.node if node.name in tower_of(quantized, name)}
        assert ("MatMulInteger" in kinds) == (name in DYNAMIC) and ("Conv" in kinds) == (name not in DYNAMIC)


def tower_of(model: onnx.ModelProto, name: str) -> tuple[str, ...]:
    return find_tower(model, name).nodes


def test_a_quantised_graph_keeps_its_promises(every: Exported, quantized: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(quantized, tmp_path / GRAPH)
    session = load(tmp_path / GRAPH)
    names = tuple(every.run.modalities)
    feed = random_feed(every.run.modalities, 5, np.random.default_rng(1))
    prove_coalitions(session, [feed], names)
    prove_absence(session, every.run.modalities, [feed])
    rows = [{name: values[row : row + 1] for name, values in feed.items()} for row in range(5)]
    assert farthest_alone(session, feed, rows)[0] < 1e-3


def product(matrix: Array, transposed: bool, bias: Array | None) -> onnx.ModelProto:
    """`(batch, tokens, 6)` times a matrix, or `(batch, 6)` as a Gemm with a bias."""
    constants = {"matrix": matrix.T.copy() if transposed else matrix}
    shape = ["batch", "tokens", 6] if bias is None else ["batch", 6]
    if bias is None:
        node = helper.make_node("MatMul", ["x", "matrix"], ["y"], name="product")
    else:
        constants["bias"] = bias
        node = helper.make_node("Gemm", ["x", "matrix", "bias"], ["y"], name="product", transB=int(transposed))
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("kind", ["matmul", "gemm", "transposed"])
def test_a_product_is_that_of_rounded_rows_and_columns(kind: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    matrix = generator.standard_normal((6, 4)).astype(np.float32)
    values = generator.standard_normal((2, 6) if kind != "matmul" else (2, 3, 6)).astype(np.float32)
    values[-1] = 0
    values[0] *= 1e4
    bias = None if kind == "matmul" else generator.standard_normal(4).astype(np.float32)
    model = product(matrix, kind == "transposed", bias)
    assert quantize_rows(model, Tower("x", "y", ("product",), "dynamic")) == 1
    onnx.save(model, tmp_path / GRAPH)
    found = run(load(tmp_path / GRAPH), {"x": values})["y"].reshape(-1, 4)
    for row, entering in enumerate(values.reshape(-1, 6)):
        scale = max(abs(float(entering[k])) for k in range(6)) / LARGEST_INPUT or 1.0
        for column in range(4):
            step = max(abs(float(matrix[k, column])) for k in range(6)) / LARGEST_WEIGHT
            total = sum(round(float(entering[k]) / scale) * round(float(matrix[k, column]) / step) for k in range(6))
            expected = total * scale * step + (0.0 if bias is None else float(bias[column]))
            assert found[row, column] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_graph_without_anything_to_quantise_is_refused(tmp_path: Path) -> None:
    model = onnx.load(build_bundle(tmp_path / "bundle", ("audio", "video")) / GRAPH)
    with pytest.raises(ExportError, match="no tower of audio, video has convolutions or matrix products"):
        quantize(model, ("audio", "video"), [])


def test_a_graph_that_the_library_cannot_calibrate_is_refused(exported: Callable[[str], Exported]) -> None:
    model = onnx.load(exported("averaged").bundle / GRAPH)
    with pytest.raises(ExportError, match="the graph cannot be quantised"):
        quantize(model, ("audio", "video"), [])


def test_nodes_get_names_of_their_own() -> None:
    model = product(np.ones((6, 4), np.float32), False, None)
    model.graph.node.append(helper.make_node("Neg", ["y"], ["z"], name="product"))
    name_nodes(model)
    assert [node.name for node in model.graph.node] == ["product", "Neg_1"]


@pytest.mark.parametrize(("accuracy", "error"), [(0.8951, 0.03), (0.9, 0.0399), (0.95, 0.0)])
def test_what_loses_less_than_is_allowed_is_accepted(accuracy: float, error: float) -> None:
    accept(replace(FIGURES, after=Figures(accuracy, error, 300)))


@pytest.mark.parametrize(("accuracy", "error", "said"), [(0.895, 0.03, "0.50 points"), (0.95, 0.04, "rise of 0.0100")])
def test_what_loses_as_much_is_refused_with_the_figures(accuracy: float, error: float, said: str) -> None:
    with pytest.raises(NotAccepted, match=said) as found:
        accept(replace(FIGURES, after=Figures(accuracy, error, 300)))
    assert f"on 200 test samples accuracy 0.9000 -> {accuracy:.4f}, ECE 0.0300 -> {error:.4f}" in str(found.value)


@pytest.fixture(scope="module")
def folder(with_data: Path) -> Path:
    """With a run on generated data, which is still there."""
    return with_data


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    """In eight bits, whatever the loss: on so few samples it is chance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(acceptance, "LARGEST_DROP", 1.0)
        patch.setattr(acceptance, "LARGEST_RISE", 1.0)
        assert main(["runs/mine", "--to", "bundles/int8", "--quantize", "int8"]) == 0
    return folder / "bundles/int8"


def test_a_bundle_in_eight_bits_says_what_it_cost(bundle: Path) -> None:
    manifest = Manifest.read(bundle)
    export = manifest.provenance["export"]
    told = export["quantization"]
    assert told["kind"] == "int8" and told["ways"] == {"image": "static", "text": "dynamic"}
    assert told["samples"] == manifest.provenance["data"]["samples"]["test"] and told["calibrated"] == 128
    assert told["after"]["accuracy"] == manifest.expectations["image+text"].accuracy
    assert told["after"]["bytes"] == (bundle / GRAPH).stat().st_size < told["before"]["bytes"]
    assert 0 < told["difference"] == export["difference"]
    assert manifest.tolerance.probabilities == max(1e-4, told["spread"])
    assert (
        "The encoders compute in eight bits (int8: image static, text dynamic" in (bundle / "model_card.md").read_text()
    )


def test_a_bundle_in_eight_bits_reproduces_itself_and_answers_like_the_trained_model(
    bundle: Path, folder: Path
) -> None:
    predictor = Predictor(bundle)
    assert selfcheck(predictor) == 4
    trained = read(folder / "runs/mine")
    [table] = folder.glob("data/*/table.csv")
    raw = [payloads(sample) for sample in held_out(table, NAMES, 40)]
    prepared = [predictor.prepare(sample) for sample in raw]
    found = predictor.run(prepared)
    arrays = {name: trained.modalities[name].stack([one[name] for one in prepared]) for name in NAMES}
    out = trained.model()({name: torch.from_numpy(values) for name, values in arrays.items()})
    expected = out.logits.detach().numpy()
    apart = np.sort(expected, axis=1)
    sure = apart[:, -1] - apart[:, -2] > 2 * np.abs(found["logits"] - expected).max()
    answers = [answer.predictions[0].label for answer in predictor.predict(raw)]
    labels = [trained.labels[index] for index in expected.argmax(axis=1)]
    assert sure.mean() > 0.5 and 0 < np.abs(found["logits"] - expected).max() < 0.2 * np.abs(expected).max()
    assert [answer for answer, one in zip(answers, sure, strict=True) if one] == [
        label for label, one in zip(labels, sure, strict=True) if one
    ]


def test_an_export_that_would_lose_too_much_is_refused_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(acceptance, "LARGEST_DROP", -1.0)
    assert main(["runs/mine", "--to", "refused", "--quantize", "int8"]) == 2
    line = capsys.readouterr().err
    assert "--quantize int8 is refused" in line and "test samples accuracy 0." in line
    assert not list(folder.glob("*refused*"))


def test_without_the_data_of_the_training_nothing_is_quantised(
    one: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(one.run.folder), "--to", str(tmp_path / "bundle"), "--quantize", "int8"]) == 2
    assert "--quantize int8 needs the data of the training, which was not found as it was" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_is_there_is_not_quantised(
    one: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(one.bundle), "--triton", str(tmp_path / "triton"), "--quantize", "int8"]) == 2
    assert "is a bundle already: --quantize int8 is for the export of a run" in capsys.readouterr().err
