"""A graph whose towers compute in sixteen bits, for a GPU: `--precision` and `--tensorrt`, `fp16` or `bf16`.

ONNX Runtime's own `convert_float_to_float16` gives an invalid model where it is told to leave the heads alone, and
knows nothing of bf16; here a tensor has a second name for its half, and is cast where the other type is needed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle.graph_file import OWN_OPERATORS
from bundle.modalities import Array
from export.errors import ExportError, first_line
from export.fusing import standing_in
from export.rows import drop_unused
from export.to_onnx import strip
from export.towers import find_tower, name_nodes, weights

Half = Literal["fp16", "bf16"]
TYPES: Mapping[Half, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
LIMIT = float(np.finfo(np.float16).max)
LARGEST_BF16 = float.fromhex("0x1.fep127")
MOVING = ("Reshape", "Transpose", "Concat", "Gather", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Identity")
BOTH = (
    *("Conv", "MatMul", "Gemm", "Add", "Sub", "Mul", "Div", "Neg", "Where", "AveragePool"),
    *("Relu", "Gelu", "Erf", "Tanh", "Sigmoid", "Softmax", "LayerNormalization"),
    *OWN_OPERATORS,
)
"""What ONNX Runtime's CUDA provider has kernels of in both types. Its softmax and layer norm add up in 32 bits."""
OPERATORS: Mapping[Half, frozenset[str]] = {
    "fp16": frozenset((*MOVING, *BOTH, "MaxPool", "Selu", "Clip", "GatherND")),
    "bf16": frozenset((*MOVING, *BOTH)),
}
"""What computes in sixteen bits. The rest of a tower stays in 32: sums and means over many elements, powers and roots,
and what has no kernel."""
OPSET = 22
"""The first in which convolutions may be in bf16."""
PREFIX = "half_"


def to_half(model: onnx.ModelProto, modalities: Sequence[str], kind: Half) -> dict[str, str]:
    """Compute every tower in sixteen bits, and nothing else; returns the kind by modality.

    Distances from the training data, what stands for absent modalities and the heads stay in 32 bits.

    Args:
        model: changed in place.
        modalities: names of the inputs.
        kind: of sixteen bits.

    Raises:
        ExportError: a weight does not fit, no tower has anything to compute, or the graph has no types or others in it.
    """
    del model.graph.value_info[:]
    name_nodes(model)
    for node in model.graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ExportError(f"node {node.name!r} holds a graph of its own, which is not converted to {kind}")
    towers = [find_tower(model, name) for name in modalities]
    if not any(tower.way for tower in towers):
        raise ExportError(f"no tower of {', '.join(modalities)} has convolutions or matrix products to halve")
    _Halving(model, kind).convert({name for tower in towers for name in tower.nodes})
    drop_unused(model)
    if kind == "bf16":
        model.CopyFrom(onnx.version_converter.convert_version(model, OPSET))
        del model.graph.value_info[:]
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    return {tower.modality: kind for tower in towers if tower.way is not None}


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph in bf16 as a CPU can run it: every node computes in 32 bits, and its result is rounded to bf16.

    It is what ONNX Runtime makes of fp16 on a CPU; of bf16 it only knows the casts.

    Args:
        model: left as it is.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    types = _types(found)
    nodes: list[onnx.NodeProto] = []
    for node in found.graph.node:
        halves = [name for name in (*node.input, *node.output) if types.get(name) == TensorProto.BFLOAT16]
        if not halves or node.op_type == "Cast":
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if name in halves:
                node.input[place] = f"{node.name}_in_{place}"
                nodes.append(_cast(name, node.input[place], TensorProto.FLOAT))
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in halves:
                node.output[place] = f"{node.name}_out_{place}"
                nodes.append(_cast(node.output[place], name, TensorProto.BFLOAT16))
    del found.graph.node[:], found.graph.value_info[:]
    found.graph.node.extend(nodes)
    return found


class _Halving:
    """One conversion: which tensors are there in which type so far."""

    def __init__(self, model: onnx.ModelProto, kind: Half) -> None:
        self._graph, self._kind, self._type = model.graph, kind, TYPES[kind]
        self._types = _types(model)
        self._constants = weights(model.graph)
        self._half: set[str] = set()
        """Tensors of which there is a half."""
        self._whole: set[str] = set()
        """Tensors of which there was a half alone, and is a whole again."""
        self._only: set[str] = set()
        """Tensors that were made as halves."""
        self._nodes: list[onnx.NodeProto] = []

    def convert(self, chosen: set[str]) -> None:
        """Convert what of the nodes of these names can be, in the graph's order."""
        for node in self._graph.node:
            if node.name in chosen and self._converts(node):
                self._halve(node)
            else:
                self._need_whole(node.input)
                self._nodes.append(node)
        self._need_whole([value.name for value in self._graph.output])
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _float(self, name: str) -> bool:
        return bool(self._types.get(name) == TensorProto.FLOAT)

    def _converts(self, node: onnx.NodeProto) -> bool:
        if not any(map(self._float, node.output)):
            return False
        return node.op_type == "Cast" or node.op_type in OPERATORS[self._kind]

    def _halve(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Cast":
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("to", self._type))
        for place, name in enumerate(node.input):
            if self._float(name) and not (node.op_type == "Cast" and name not in self._half):
                self._need_half(name)
                node.input[place] = PREFIX + name
        for place, name in enumerate(node.output):
            if self._float(name):
                node.output[place] = PREFIX + name
                self._half.add(name)
                self._only.add(name)
        self._nodes.append(node)

    def _need_whole(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._only - self._whole:
                self._nodes.append(_cast(PREFIX + name, name, TensorProto.FLOAT))
                self._whole.add(name)

    def _need_half(self, name: str) -> None:
        if name in self._half:
            return
        self._half.add(name)
        if name in self._constants:
            values = _rounded(name, numpy_helper.to_array(self._constants[name]), self._kind)
            self._graph.initializer.append(numpy_helper.from_array(values, PREFIX + name))
        else:
            self._nodes.append(_cast(name, PREFIX + name, self._type))


def _rounded(name: str, values: Array, kind: Half) -> Array:
    if kind == "bf16":  # the least number of 32 bits would become minus infinity, and a row of it not a number
        limited = np.clip(values, -LARGEST_BF16, LARGEST_BF16)
        return np.where(np.isfinite(values), limited, values).astype(ml_dtypes.bfloat16)
    finite = np.abs(values[np.isfinite(values)])
    masking = finite >= np.finfo(np.float32).max / 2  # stands for minus infinity, as masks of attention have it
    if (finite[~masking] > LIMIT).any():
        raise ExportError(
            f"{name}: expected numbers up to {LIMIT:g} for fp16, found {finite[~masking].max():g}; bf16 has room for it"
        )
    limited = np.where(np.isfinite(values), np.clip(values, -LIMIT, LIMIT), values)
    return limited.astype(np.float16)


def _cast(name: str, to: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [to], name=f"cast_{to}", to=kind)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor that has one."""
    try:
        graph: Any = onnx.shape_inference.infer_shapes(standing_in(model), strict_mode=True, data_prop=True).graph
    except Exception as error:  # onnx raises its own type
        raise ExportError(f"the graph cannot be converted to sixteen bits: {first_line(error)}") from error
    known = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}
