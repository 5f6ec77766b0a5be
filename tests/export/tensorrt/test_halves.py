"""Graphs whose towers compute in 16 bits: what is converted, what is not, and how far the answers move."""

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bundle.manifest import GRAPH, Manifest
from export.errors import ExportError
from export.feeds import random_feed
from export.halves import LARGEST, Half, to_halves
from export.parity import difference, load, run
from export.promises import prove_absence, prove_coalitions, prove_shares
from export.quantize import quantize_symmetric
from export.to_tensorrt import graph_of
from tests.export.conftest import Exported
from tests.export.tensorrt.conftest import ENCODERS
from tests.export.tensorrt.test_check import feeds

Encoded = Callable[[str], Exported]
HALVES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
BITS = {"fp16": 2**-11, "bf16": 2**-8}
"""Largest part of a number that is lost by rounding to one of as many bits."""


@pytest.mark.parametrize("name", ENCODERS)
def test_answers_move_little_and_promises_are_kept(encoded: Encoded, name: str, tmp_path: Path) -> None:
    found = encoded(name)
    names = tuple(found.run.modalities)
    onnx.save(to_halves(onnx.load(found.bundle / GRAPH), names, "fp16"), tmp_path / GRAPH)
    session = load(tmp_path / GRAPH)
    feed = random_feed(found.run.modalities, 5, np.random.default_rng(1))
    expected, halved = run(load(found.bundle / GRAPH), feed), run(session, feed)
    apart = {output: difference(output, halved[output], values) for output, values in expected.items()}
    assert 0 < max(apart.values()) < 0.02, apart
    prove_shares(session, [feed])
    prove_coalitions(session, [feed], names)
    prove_absence(session, found.run.modalities, [feed])


@pytest.mark.parametrize("half", HALVES)
def test_towers_are_converted_and_nothing_else(encoded: Encoded, half: Half) -> None:
    found = encoded("resnet")
    before = onnx.load(found.bundle / GRAPH)
    model = to_halves(before, tuple(found.run.modalities), half)
    assert [*model.graph.input, *model.graph.output] == [*before.graph.input, *before.graph.output]
    plain = {tensor.name: numpy_helper.to_array(tensor) for tensor in before.graph.initializer}
    halved = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == HALVES[half]}
    assert any(".encoders." in name for name in halved)
    for name, tensor in halved.items():
        exact = plain[name.removesuffix("_half")].astype(np.float64)
        rounded = numpy_helper.to_array(tensor).astype(np.float64)
        assert np.isfinite(rounded).all()
        np.testing.assert_allclose(rounded, exact.clip(-LARGEST[HALVES[half]], LARGEST[HALVES[half]]), BITS[half], 1e-7)
    kept = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    heads = {name for name in plain if name.startswith("model.") and ".encoders." not in name}
    assert heads <= kept
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm", "LayerNormalization"):
            assert heads & set(node.input) or len({name.endswith("_half") for name in node.input}) == 1, node.name
        assert node.op_type != "Conv" or all(name.endswith("_half") for name in node.input)
    assert before == onnx.load(found.bundle / GRAPH), "the graph given is left as it was"


def chain(value: float, kind: str = "Mul") -> onnx.ModelProto:
    """An input times a constant, as a tower, and half of that as its output."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "logits"))
    z = helper.make_tensor_value_info("present", TensorProto.FLOAT, ["batch", 2])
    nodes = [
        helper.make_node(kind, ["x", "weight"], ["features"]),
        helper.make_node("Mul", ["features", "present"], ["logits"]),
    ]
    weight = numpy_helper.from_array(np.array([value, 1.0], np.float32), "weight")
    graph = helper.make_graph(nodes, "chain", [x, z], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_numbers_that_16_bits_cannot_hold_become_the_largest_they_can() -> None:
    lowest = float(np.finfo(np.float32).min)
    cases: list[tuple[Half, float, float]] = [
        ("fp16", 1e6, 65504.0),
        ("fp16", lowest, -65504.0),
        ("bf16", 1e6, float(np.float32(1e6).astype(ml_dtypes.bfloat16))),
        ("bf16", lowest, -LARGEST[TensorProto.BFLOAT16]),
    ]
    for half, value, expected in cases:
        model = to_halves(chain(value), ("x",), half)
        [weight] = [tensor for tensor in model.graph.initializer if tensor.name == "weight_half"]
        assert float(numpy_helper.to_array(weight)[0]) == expected


def test_graphs_without_types_and_graphs_within_graphs_are_refused() -> None:
    untyped = chain(1.0)
    untyped.graph.initializer[0].dims[0] = 3
    with pytest.raises(ExportError, match="the graph cannot be converted to fp16: "):
        to_halves(untyped, ("x",), "fp16")
    nested = chain(1.0)
    inner = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])])
    node = helper.make_node("If", ["given"], ["chosen"], then_branch=inner, else_branch=inner)
    nested.graph.node.insert(0, helper.make_node("IsNaN", ["x"], ["nans"]))
    nested.graph.node.insert(1, helper.make_node("ReduceMax", ["nans"], ["given"], keepdims=0))
    nested.graph.node.insert(2, node)
    nested.graph.node[3].input[0] = "chosen"
    with pytest.raises(ExportError, match=r"holds a graph of its own, which is not converted|cannot be converted"):
        to_halves(nested, ("x",), "fp16")


def test_a_graph_in_eight_bits_is_not_halved(encoded: Encoded, tmp_path: Path) -> None:
    found = encoded("snn")
    model = onnx.load(found.bundle / GRAPH)
    quantize_symmetric(model, tuple(found.run.modalities), feeds(found.run))
    onnx.save(model, tmp_path / GRAPH)
    with pytest.raises(ExportError, match="expected a graph in 32 bits to make bf16 of, found one in eight"):
        graph_of(tmp_path, Manifest.read(found.bundle), "bf16")
