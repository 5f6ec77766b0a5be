"""What is refused of an ONNX file before ONNX Runtime sees it, and that no honest graph is."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bundle.errors import ManifestError
from bundle.graph_file import OWN, OWN_OPERATORS, check_graph_file
from bundle.manifest import GRAPH
from bundle.predictor import Predictor
from bundle.tensor_file import BITS, STRING_TYPE
from tests.bundles import build_bundle
from tests.serving.samples import rehash

WEIGHTS = numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
MULTIPLY = helper.make_node("MatMul", ["x", "w"], ["y"])


def build(
    nodes: Sequence[onnx.NodeProto] = (MULTIPLY,),
    tensors: Sequence[TensorProto] = (WEIGHTS,),
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, tensors)
    return helper.make_model(graph, functions=functions, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def refusal(model: onnx.ModelProto | bytes) -> str:
    with pytest.raises(ManifestError) as caught:
        check_graph_file(model if isinstance(model, bytes) else model.SerializeToString())
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("model.onnx: expected a graph that loads from this file alone, found ")


def external(location: str = "weights.bin", flagged: bool = True) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3])
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    if flagged:
        tensor.data_location = TensorProto.EXTERNAL
    return tensor


def constant(value: TensorProto, name: str = "c") -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=value)


def within(node: onnx.NodeProto, depth: int = 1) -> onnx.NodeProto:
    """The node in a branch of an If, as deep as asked."""
    given = [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)]
    other = helper.make_graph([constant(ONE)], "other", [], given)
    for _ in range(depth):
        branch = helper.make_graph([node], "branch", [], given)
        node = helper.make_node("If", ["yes"], ["c"], then_branch=other, else_branch=branch)
    return node


def sparse(values: TensorProto, dims: Sequence[int]) -> onnx.SparseTensorProto:
    found = onnx.SparseTensorProto(dims=dims)
    found.values.CopyFrom(values)
    found.indices.CopyFrom(numpy_helper.from_array(np.array([0]), "at"))
    return found


def with_sparse(values: TensorProto, dims: Sequence[int]) -> onnx.ModelProto:
    model = build()
    model.graph.sparse_initializer.append(sparse(values, dims))
    return model


def function(node: onnx.NodeProto, domain: str = "") -> onnx.FunctionProto:
    return helper.make_function(domain, "Own", [], ["c"], [node], [helper.make_opsetid("", 20)])


ONE = numpy_helper.from_array(np.array([1.0], np.float32), "one")
EXTERNAL: dict[str, Callable[[], onnx.ModelProto]] = {
    "an initializer": lambda: build(tensors=[external()]),
    "one that leads outside": lambda: build(tensors=[external("../weights.bin")]),
    "one of an absolute path": lambda: build(tensors=[external("/etc/hostname")]),
    "one in memory": lambda: build(tensors=[external("*/_ORT_MEM_ADDR_/*")]),
    "one without the flag": lambda: build(tensors=[external(flagged=False)]),
    "one with the flag alone": lambda: build(
        tensors=[TensorProto(name="w", data_type=1, dims=[0], data_location=TensorProto.EXTERNAL)]
    ),
    "a constant": lambda: build([constant(external())]),
    "a constant in a branch": lambda: build([within(constant(external()), 3)]),
    "a list of tensors": lambda: build([helper.make_node("Own", [], ["c"], listed=[ONE, external()])]),
    "a sparse initializer": lambda: with_sparse(external(), [4]),
    "a sparse constant": lambda: build([helper.make_node("Constant", [], ["c"], sparse_value=sparse(external(), [4]))]),
    "a function": lambda: build(functions=[function(constant(external()))]),
}


@pytest.mark.parametrize("name", EXTERNAL)
def test_data_in_another_file_are_refused_wherever_they_are_named(name: str) -> None:
    assert "a tensor whose data lie in another file" in refusal(EXTERNAL[name]())


def test_a_bundle_with_external_data_is_refused_even_where_they_are_inside_the_folder(tmp_path: Path) -> None:
    folder = build_bundle(tmp_path / "bundle", ("image", "text"))
    model = onnx.load(folder / GRAPH)
    onnx.save(model, os.fspath(folder / GRAPH), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (folder / "weights.bin").is_file()
    rehash(folder)
    with pytest.raises(ManifestError, match="data lie in another file"):
        Predictor(folder)


def promising(dims: Sequence[int], kind: int = TensorProto.FLOAT, **held: object) -> TensorProto:
    return TensorProto(name="w", data_type=kind, dims=dims, **held)


LYING = {
    "raw": promising([1 << 40], raw_data=bytes(8)),
    "one element more": promising([2, 3], raw_data=bytes(23)),
    "floats": promising([1 << 30], float_data=[1.0, 2.0]),
    "halves": promising([3], TensorProto.FLOAT16, int32_data=[1, 2]),
    "whole numbers": promising([1 << 62, 1 << 62], TensorProto.INT64, int64_data=[-1, 1]),
    "complex numbers": promising([2], TensorProto.COMPLEX64, float_data=[1.0, 2.0]),
    "quarters": promising([9], TensorProto.UINT4, raw_data=bytes(4)),
    "texts": promising([3], TensorProto.STRING, string_data=[b"a", b"b"]),
    "nothing": promising([2, 3]),
}


@pytest.mark.parametrize("name", LYING)
def test_a_tensor_that_promises_more_than_it_holds_is_refused(name: str) -> None:
    assert "a tensor that promises" in refusal(build(tensors=[LYING[name]]))
    assert "a tensor that promises" in refusal(build([within(constant(LYING[name]))]))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (promising([-2], raw_data=bytes(8)), "a tensor of shape [-2]"),
        (promising([2], 99, raw_data=bytes(8)), "a tensor of the unknown type 99"),
        (promising([1] * 65, raw_data=bytes(4)), "a tensor of over 64 axes"),
        (promising([2], float_data=[1, 2], segment=TensorProto.Segment(begin=0, end=1)), "a tensor in segments"),
    ],
)
def test_a_tensor_without_sense_is_refused(tensor: TensorProto, message: str) -> None:
    assert refusal(build(tensors=[tensor])) == message


def whole(*numbers: int) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers), "s")


ABSURD = {
    "ConstantOfShape": (["s"], whole(1 << 31)),
    "Expand": (["x", "s"], whole(1 << 15, 1 << 14)),
    "Tile": (["x", "s"], whole(1 << 30, 1)),
    "Resize": (["x", "", "", "s"], whole(1, 1, 1 << 15, 1 << 15)),
    "Pad": (["x", "s"], whole(0, 0, 1 << 30, 0)),
    "Range": (["x", "s", "x"], numpy_helper.from_array(np.array(1e12), "s")),
    "OneHot": (["x", "s", "x"], whole(1 << 30)),
}


@pytest.mark.parametrize("operator", ABSURD)
def test_a_constant_shape_of_absurd_size_is_refused(operator: str) -> None:
    inputs, shape = ABSURD[operator]
    node = helper.make_node(operator, inputs, ["c"])
    for model in (
        build([node], [shape]),
        build([constant(shape, "s"), node]),
        build([within(node)], [shape]),
        build(functions=[helper.make_function("", "Own", [], ["c"], [constant(shape, "s"), node], [])]),
    ):
        assert f"{operator} of " in refusal(model)
    small = numpy_helper.from_array(np.minimum(numpy_helper.to_array(shape), 4), "s")
    check_graph_file(build([node], [small]).SerializeToString())


def test_other_absurd_sizes_are_refused() -> None:
    assert "a sparse tensor of " in refusal(with_sparse(ONE, [1 << 31]))
    assert "RandomNormal of " in refusal(build([helper.make_node("RandomNormal", [], ["c"], shape=[1 << 15] * 2)]))
    listed = helper.make_node("Constant", [], ["s"], value_ints=[1 << 20, 1 << 20])
    assert "Expand of " in refusal(build([listed, helper.make_node("Expand", ["x", "s"], ["c"])]))
    single = helper.make_node("Constant", [], ["s"], value_float=1e15)
    assert "Range of " in refusal(build([single, helper.make_node("Range", ["x", "s", "x"], ["c"])]))


@pytest.mark.parametrize("domain", ["custom", "com.example", "ai.onnx.training", "\0"])
def test_operators_of_other_domains_are_refused(domain: str) -> None:
    own = helper.make_node("Own", ["x"], ["y"], domain=domain)
    assert "an operator of the domain" in refusal(build([own]))
    assert "an operator of the domain" in refusal(build([within(own)]))
    assert "an operator of the domain" in refusal(build(functions=[function(constant(ONE), domain)]))
    assert "an operator of the domain" in refusal(build(functions=[function(own)]))


def test_of_onnx_runtimes_own_operators_those_that_exports_write_are_taken() -> None:
    assert not check_graph_file(build().SerializeToString())
    for operator in OWN_OPERATORS:
        node = helper.make_node(operator, ["x", "w"], ["y"], domain=OWN)
        assert check_graph_file(build([node]).SerializeToString())
        assert not check_graph_file(build([helper.make_node(operator, ["x", "w"], ["y"])]).SerializeToString())
    other = helper.make_node("MatMulNBits", ["x", "w"], ["y"], domain=OWN)
    assert "the operator 'MatMulNBits' of com.microsoft, none of Attention, BiasGelu, " in refusal(build([other]))
    assert "the operator 'MatMulNBits' of com.microsoft" in refusal(build([within(other)]))
    assert "the operator 'MatMulNBits' of com.microsoft" in refusal(build(functions=[function(other)]))


def test_an_operator_whose_content_is_another_file_is_refused() -> None:
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="../engine")
    assert "EPContext, whose content lies in another file" in refusal(build([node]))


def test_graphs_within_graphs_have_an_end() -> None:
    check_graph_file(build([within(constant(ONE), 10)]).SerializeToString())
    assert "over 16 graphs within each other" in refusal(build([within(constant(ONE), 17)]))


def test_parts_that_a_reader_would_merge_are_refused() -> None:
    whole = build().SerializeToString()
    graph = build().graph.SerializeToString()
    again = b"\x3a" + bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7]) + graph
    assert refusal(whole + again) == "a part that may come once, twice"


def test_a_file_of_another_format_is_refused() -> None:
    assert refusal(b"\x32\x82\x01" + b"xORTM" + bytes(125) + build().SerializeToString()) == "another format"
    assert refusal(b"") == "none"
    assert refusal(b"\x08\x0a") == "none"


MALFORMED = {
    b"\x3a": "a number cut short",
    b"\x3a\x05ab": "a field of 5 bytes where 2 are left",
    b"\x08" + b"\x80" * 10 + b"\x01": "a number of over ten bytes",
    b"\x08" + b"\xff" * 9 + b"\x7f": "a number of over 64 bits",
    b"\x0b\x0c": "wire type 3",
    b"\x0f": "wire type 7",
    b"\x00\x00": "a field without a valid number",
    b"\x38\x01": "a part of wire type 0",
    b"\x3a\x02\x28\x01": "a part of wire type 0",
    b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x7f": "a field of 9,151,314,442,816,847,872 bytes where 0 are left",
}


@pytest.mark.parametrize("content", MALFORMED)
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    assert refusal(content) == MALFORMED[content]


def test_whatever_the_bytes_they_are_taken_or_refused() -> None:
    generator = random.Random(0)
    tensors = [*(tensor for tensor in LYING.values()), WEIGHTS]
    seeds = [build([within(constant(WEIGHTS), 2), MULTIPLY], [tensor]).SerializeToString() for tensor in tensors]
    for _ in range(3000):
        content = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 6)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        try:
            check_graph_file(bytes(content[: generator.randint(1, len(content))]))
        except ManifestError as error:
            assert "\n" not in str(error) and len(str(error)) < 400


@pytest.mark.parametrize("number", [*BITS, STRING_TYPE])
def test_an_honest_tensor_of_every_type_is_taken(number: int) -> None:
    if number == STRING_TYPE:
        tensor = helper.make_tensor("w", number, [3], [b"a", b"b", b"c"])
        check_graph_file(build(tensors=[tensor]).SerializeToString())
        return
    numbers = helper.make_tensor("w", number, [3], [1, 0, 1])
    raw = numpy_helper.from_array(numpy_helper.to_array(numbers), "w")
    for tensor in (numbers, raw):
        check_graph_file(build(tensors=[tensor]).SerializeToString())
