"""`python -m export --precision`: what computes in sixteen bits, what that costs, and when it is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from transformers import DebertaV2Config, DebertaV2Model

from bundle.errors import ExecutionUnavailable
from bundle.manifest import GRAPH, Manifest
from bundle.modalities import Text
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export import acceptance, parity
from export.__main__ import main
from export.acceptance import LARGEST_DIFFERENCE, Acceptance, Figures, accept
from export.assemble import assemble
from export.errors import ExportError, NotAccepted
from export.feeds import masked, random_feed
from export.half import OPERATORS, TYPES, Half, emulated, to_half
from export.promises import prove_absence, prove_coalitions
from export.reduced import load
from export.towers import find_tower
from tests.bundles import build_bundle, tiny_modality
from tests.export.conftest import Exported
from tests.export.runs import PLAIN, make_run
from training.checkpoint import read
from training.config import TextOptions
from training.encoders.transformer import Transformer

HALVES = get_args(Half)
FARTHEST = {"fp16": 2e-3, "bf16": 2e-2}
"""Of any output of tiny graphs with arbitrary weights and inputs."""


@pytest.fixture(params=HALVES)
def kind(request: pytest.FixtureRequest) -> Half:
    found: Half = request.param
    return found


def halved(every: Exported, kind: Half) -> onnx.ModelProto:
    model = onnx.load(every.bundle / GRAPH)
    assert to_half(model, tuple(every.run.modalities), kind) == dict.fromkeys(every.run.modalities, kind)
    return model


def test_towers_are_halved_and_nothing_else(every: Exported, kind: Half) -> None:
    model = halved(every, kind)
    before = {tensor.name: tensor for tensor in onnx.load(every.bundle / GRAPH).graph.initializer}
    inside = {name for modality in every.run.modalities for name in find_tower(model, modality).nodes}
    makers = {name: node for node in model.graph.node for name in node.output}
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    found = onnx.shape_inference.infer_shapes(model).graph
    types |= {value.name: value.type.tensor_type.elem_type for value in found.value_info}
    weighty = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    assert any(types[node.output[0]] == TYPES[kind] for node in weighty)
    for node in model.graph.node:
        half = TYPES[kind] in (types.get(name) for name in node.output)
        assert not half or (node.name in inside or node.op_type == "Cast"), node.name
        assert not half or node.op_type in OPERATORS[kind] | {"Cast"}, node.op_type
        if node.op_type in ("Conv", "MatMul", "Gemm") and node.name in inside and node.input[1] not in makers:
            assert types[node.input[1]] == TYPES[kind], node.name
    for name, tensor in before.items():
        if ".encoders." not in name and name.startswith("model."):
            assert any(kept.raw_data == tensor.raw_data for kept in model.graph.initializer), name
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    assert size < sum(len(tensor.raw_data) for tensor in before.values())


def test_a_halved_graph_answers_nearly_the_same_and_keeps_its_promises(
    every: Exported, kind: Half, tmp_path: Path
) -> None:
    onnx.save(halved(every, kind), tmp_path / GRAPH)
    session, whole = load(tmp_path / GRAPH), parity.load(every.bundle / GRAPH)
    feed = random_feed(every.run.modalities, 5, np.random.default_rng(1))
    prove_coalitions(session, [feed], tuple(every.run.modalities))
    prove_absence(session, every.run.modalities, [feed])
    complete = masked(feed, np.ones(len(every.run.modalities), np.bool_))
    found, expected = parity.run(session, complete), parity.run(whole, complete)
    worst = max(parity.difference(name, values, expected[name]) for name, values in found.items())
    assert 0 < worst < FARTHEST[kind]


def small(weight: float, second: float = 1.0) -> onnx.ModelProto:
    """`(batch, 2)` times a matrix, then the sum of each row with what is masked left out."""
    matrix = np.array([[weight], [second]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "matrix"], ["y"], name="product"),
            helper.make_node("Relu", ["y"], ["z"], name="relu"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_weight_that_fp16_cannot_hold_is_refused_and_bf16_can(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected numbers up to 65504 for fp16, found 100000; bf16 has"):
        to_half(small(1e5), ("x",), "fp16")
    model = small(1e5)
    to_half(model, ("x",), "bf16")
    [kept] = model.graph.initializer
    np.testing.assert_array_equal(
        numpy_helper.to_array(kept).astype(np.float32)[:, 0], np.array([1e5, 1]).astype(ml_dtypes.bfloat16)
    )


def test_what_stands_for_minus_infinity_stays_finite(kind: Half) -> None:
    model = small(float(np.finfo(np.float32).min), -np.inf)
    to_half(model, ("x",), kind)
    [kept] = model.graph.initializer
    least = {"fp16": -65504.0, "bf16": -float.fromhex("0x1.fep127")}
    assert numpy_helper.to_array(kept)[:, 0].astype(np.float64).tolist() == [least[kind], -np.inf]


def test_rows_that_are_padding_alone_stay_numbers(kind: Half, tmp_path: Path) -> None:
    """DeBERTa masks the whole row of a token that is padding: all of it is as good as minus infinity, none of it is."""
    words = tiny_modality("text")
    assert isinstance(words, Text)
    size: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    relative = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}
    deberta = DebertaV2Config(vocab_size=words.vocabulary, max_position_embeddings=12, **size, **relative)
    DebertaV2Model(deberta).save_pretrained(tmp_path / "deberta")
    text = TextOptions(encoder_options=Transformer.Options(pretrained=str(tmp_path / "deberta"), pool="first"))
    run = read(make_run(tmp_path / "run", ("text", "genomics"), replace(PLAIN, text=text)))
    assemble(run, tmp_path / "bundle", "deberta")
    model = onnx.load(tmp_path / "bundle" / GRAPH)
    to_half(model, ("text", "genomics"), kind)
    assert all(np.isfinite(numpy_helper.to_array(tensor)).all() for tensor in model.graph.initializer)
    onnx.save(model, tmp_path / GRAPH)
    feed = random_feed(run.modalities, 2, np.random.default_rng(1)) | {"present": np.ones((2, 2), np.bool_)}
    feed["text"][:, 4:] = 0
    found = parity.run(load(tmp_path / GRAPH), feed)
    expected = parity.run(parity.load(tmp_path / "bundle" / GRAPH), feed)
    assert all(np.isfinite(values).all() for values in found.values())
    assert max(parity.difference(name, values, expected[name]) for name, values in found.items()) < FARTHEST[kind]


def test_products_in_bf16_are_of_rounded_factors_and_rounded_themselves(tmp_path: Path) -> None:
    model = small(1.2345, 0.7)
    to_half(model, ("x",), "bf16")
    onnx.save(model, tmp_path / GRAPH)
    with pytest.raises(ExportError, match="does not load"):  # no kernels on a CPU
        parity.load(tmp_path / GRAPH)
    onnx.save(emulated(model), tmp_path / "emulated.onnx")
    values = np.array([[0.333, 0.001], [3.0, -2.5]], np.float32)
    found = parity.run(parity.load(tmp_path / "emulated.onnx"), {"x": values})["z"][:, 0]
    half = ml_dtypes.bfloat16
    weights = np.array([1.2345, 0.7], np.float32).astype(half).astype(np.float32)
    exact = values.astype(half).astype(np.float32) @ weights
    np.testing.assert_array_equal(found, exact.astype(half).astype(np.float32))


def test_a_graph_without_anything_to_halve_is_refused(tmp_path: Path) -> None:
    model = onnx.load(build_bundle(tmp_path / "bundle", ("audio", "video")) / GRAPH)
    with pytest.raises(ExportError, match="no tower of audio, video has convolutions or matrix products"):
        to_half(model, ("audio", "video"), "fp16")


def test_graphs_without_types_and_graphs_within_graphs_are_refused() -> None:
    untyped = small(1.0)
    untyped.graph.initializer[0].dims[:] = [1, 2]
    with pytest.raises(ExportError, match="the graph cannot be converted to sixteen bits: "):
        to_half(untyped, ("x",), "fp16")
    nested = small(1.0)
    branch = helper.make_graph(
        [helper.make_node("Identity", ["y"], ["w"])],
        "branch",
        [],
        [helper.make_tensor_value_info("w", TensorProto.FLOAT, ["batch", 1])],
    )
    nested.graph.initializer.append(numpy_helper.from_array(np.array(True), "given"))
    nested.graph.node[1].CopyFrom(
        helper.make_node("If", ["given"], ["z"], name="choice", then_branch=branch, else_branch=branch)
    )
    with pytest.raises(ExportError, match="node 'choice' holds a graph of its own, which is not converted to fp16"):
        to_half(nested, ("x",), "fp16")


BEFORE, AFTER = Figures(0.9, 0.03, 1000), Figures(0.9, 0.03, 500)
FIGURES = Acceptance("fp16", {"image": "fp16"}, BEFORE, AFTER, 200, 0, 1e-3, 1e-4)


def test_outputs_that_are_too_far_off_are_refused() -> None:
    accept(replace(FIGURES, difference=LARGEST_DIFFERENCE))
    accept(replace(FIGURES, kind="int8", difference=1.0))
    with pytest.raises(NotAccepted, match=r"--precision fp16 is refused: expected outputs within 0\.05 .* found 0\.06"):
        accept(replace(FIGURES, difference=0.06))
    with pytest.raises(NotAccepted, match=r"--precision bf16 is refused: expected a drop of .* under 0\.5 points"):
        accept(replace(FIGURES, kind="bf16", after=Figures(0.8, 0.03, 500)))


def test_the_tolerance_is_what_two_devices_may_be_apart() -> None:
    assert FIGURES.tolerance == 2e-3
    assert replace(FIGURES, spread=0.01).tolerance == 0.01
    assert replace(FIGURES, kind="int8").tolerance == 1e-4


@pytest.fixture(scope="module")
def bundles(with_data: Path) -> Callable[[Half], Path]:
    def made(kind: Half) -> Path:
        folder = with_data / f"bundles/{kind}"
        if not folder.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(with_data)
                for limit in ("LARGEST_DROP", "LARGEST_RISE"):  # on so few samples it is chance
                    patch.setattr(acceptance, limit, 1.0)
                assert main(["runs/mine", "--to", f"bundles/{kind}", "--precision", kind]) == 0
        return folder

    return made


def test_a_halved_bundle_says_what_it_cost(bundles: Callable[[Half], Path], kind: Half) -> None:
    bundle = bundles(kind)
    manifest = Manifest.read(bundle)
    told = manifest.provenance["export"]["quantization"]
    assert manifest.precision == told["kind"] == kind
    assert told["ways"] == {"image": kind, "text": kind} and told["calibrated"] == 0
    assert told["after"]["bytes"] == (bundle / GRAPH).stat().st_size < 0.75 * told["before"]["bytes"]
    assert 0 < told["difference"] < FARTHEST[kind]
    assert manifest.tolerance.probabilities == max(1e-4, told["spread"], 2 * told["difference"])
    card = (bundle / "model_card.md").read_text()
    assert f"The encoders compute in sixteen bits ({kind}: " in card
    assert f"python -m export RUN --to BUNDLE --precision {kind}\n" in card


def test_a_bundle_in_fp16_reproduces_itself_on_a_cpu(bundles: Callable[[Half], Path]) -> None:
    predictor = Predictor(bundles("fp16"))
    assert selfcheck(predictor) == 4 and predictor.running.precision == "fp16"


def test_a_bundle_in_bf16_says_on_a_cpu_what_it_needs(bundles: Callable[[Half], Path]) -> None:
    with pytest.raises(ExecutionUnavailable, match="a graph in bf16 needs cuda or tensorrt"):
        Predictor(bundles("bf16"))


def test_two_ways_to_have_fewer_bits_exclude_one_another(
    one: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = str(one.run.folder), str(tmp_path / "bundle")
    assert main([run, "--to", folder, "--quantize", "int8", "--precision", "fp16"]) == 2
    assert "--quantize and --precision exclude one another" in capsys.readouterr().err
    assert main([str(one.bundle), "--triton", folder, "--precision", "fp16"]) == 2
    assert "is a bundle already: --precision fp16 is for the export of a run" in capsys.readouterr().err
    assert main([run, "--to", folder, "--precision", "fp16"]) == 2
    assert "--precision fp16 needs the data of the training" in capsys.readouterr().err
