"""A graph to one that computes its towers in 16 bits, for TensorRT: fp16 or bf16."""

from collections.abc import Sequence
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError, first_line
from export.rows import drop_unused
from export.towers import find_tower, name_nodes, weights

Half = Literal["fp16", "bf16"]
TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
KINDS = {TensorProto.FLOAT16: np.dtype(np.float16), TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16)}
LARGEST = {TensorProto.FLOAT16: 65504.0, TensorProto.BFLOAT16: float.fromhex("0x1.fep127")}
"""What 16 bits hold: masks of attention are further from 0 in 32, and mean no more than that; infinity would."""
ALWAYS_WHOLE = {"Resize": (1, 2)}
"""Inputs that are in 32 bits whatever an operator computes in."""


def to_halves(model: onnx.ModelProto, modalities: Sequence[str], half: Half) -> onnx.ModelProto:
    """A copy whose towers compute in 16 bits; inputs, outputs and whatever lies behind the features stay in 32.

    ONNX Runtime's own converter is not used: told which nodes to leave alone, it gives two casts one name.

    Args:
        model: in 32 bits.
        modalities: names of its inputs.
        half: `fp16`, with ten bits of each number and nothing over 65,504, or `bf16`, with seven and the range of 32.

    Raises:
        ExportError: no types can be told of the graph, or it has graphs within it.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.value_info[:]
    name_nodes(found)
    try:
        typed = onnx.shape_inference.infer_shapes(found, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx raises its own type
        raise ExportError(f"the graph cannot be converted to {half}: {first_line(error)}") from error
    inside = {name for modality in modalities for name in find_tower(found, modality).nodes}
    _Conversion(found.graph, _floats(typed.graph), TYPES[half]).convert(inside)
    drop_unused(found)
    onnx.checker.check_model(found)
    return found


def _floats(graph: onnx.GraphProto) -> set[str]:
    """Names of everything in 32 bits."""
    values = (*graph.input, *graph.output, *graph.value_info)
    known = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return known | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


class _Conversion:
    """One walk through a graph, in its order."""

    def __init__(self, graph: onnx.GraphProto, floats: set[str], kind: int) -> None:
        self._graph, self._floats, self._kind = graph, floats, kind
        self._weights = weights(graph)
        self._halves: dict[str, str] = {}
        """What stands for a tensor in 16 bits, by its name in 32."""
        self._wholes: dict[str, str] = {}
        """And the reverse, where only 16 bits were computed."""
        self._nodes: list[onnx.NodeProto] = []

    def convert(self, inside: set[str]) -> None:
        """Convert the nodes of these names, and put casts around them."""
        for node in list(self._graph.node):
            if node.name in inside:
                self._halve(node)
            else:
                for place, name in enumerate(node.input):
                    node.input[place] = self._whole(name)
                self._nodes.append(node)
        for value in self._graph.output:
            assert value.name not in self._halves, "a tower ends before the graph's outputs"
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _halve(self, node: onnx.NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ExportError(f"node {node.name!r} holds a graph of its own, which is not converted to 16 bits")
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
                attribute.i = self._kind
            if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(self._rounded(attribute.t, attribute.t.name))
        for place, name in enumerate(node.input):
            if place in ALWAYS_WHOLE.get(node.op_type, ()):
                node.input[place] = self._whole(name)
            elif name in self._floats:
                node.input[place] = self._half(name)
        for place, name in enumerate(node.output):
            if name in self._floats:
                node.output[place] = self._halves[name] = f"{name}_half"
        self._nodes.append(node)

    def _half(self, name: str) -> str:
        if name not in self._halves:
            self._halves[name] = f"{name}_half"
            self._wholes[self._halves[name]] = name
            if name in self._weights:
                self._graph.initializer.append(self._rounded(self._weights[name], self._halves[name]))
            else:
                self._cast(name, self._halves[name], self._kind)
        return self._halves[name]

    def _whole(self, name: str) -> str:
        half = self._halves.get(name)
        if half is None or half in self._wholes:
            return self._wholes[half] if half is not None else name
        self._wholes[half] = name
        self._cast(half, name, TensorProto.FLOAT)
        return name

    def _cast(self, name: str, output: str, kind: int) -> None:
        self._nodes.append(helper.make_node("Cast", [name], [output], name=f"{output}_cast", to=kind))

    def _rounded(self, tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
        largest = LARGEST[self._kind]
        values = np.clip(numpy_helper.to_array(tensor), -largest, largest)
        return numpy_helper.from_array(values.astype(KINDS[self._kind]), name)
