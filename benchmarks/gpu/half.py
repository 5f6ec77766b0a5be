"""A graph whose towers compute in 16 bits, inputs and outputs being as before."""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.towers import find_tower, name_nodes

ENDING = "_fp16"


def half(model: onnx.ModelProto, modalities: Iterable[str]) -> onnx.ModelProto:
    """Each tower from its input to its features in float16; everything behind the features stays in float32.

    Args:
        model: in float32; it is not changed.
        modalities: the inputs that towers begin at.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    name_nodes(found)
    graph = found.graph
    del graph.value_info[:]
    ends = {find_tower(found, name).features for name in modalities}
    inner = _before(graph, ends)
    made: list[onnx.NodeProto] = [
        helper.make_node("Cast", [value.name], [value.name + ENDING], to=TensorProto.FLOAT16)
        for value in graph.input
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    renamed = {node.input[0]: node.output[0] for node in made}
    constants = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    halved: set[str] = set()
    for node in graph.node:
        made.append(node)
        if node.name not in inner:
            continue
        for position, name in enumerate(node.input):
            if name in constants:
                halved.add(name)
                node.input[position] = name + ENDING
            node.input[position] = renamed.get(node.input[position], node.input[position])
        for entry in node.attribute:
            if node.op_type == "Cast" and entry.name == "to" and entry.i == TensorProto.FLOAT:
                entry.i = TensorProto.FLOAT16
        for position, name in enumerate(node.output):
            if name in ends:
                node.output[position] = name + ENDING
                made.append(helper.make_node("Cast", [name + ENDING], [name], to=TensorProto.FLOAT))
    limits = np.finfo(np.float16)
    for name in sorted(halved):
        values = np.clip(numpy_helper.to_array(constants[name]), limits.min, limits.max).astype(np.float16)
        graph.initializer.append(numpy_helper.from_array(values, name + ENDING))
    del graph.node[:]
    graph.node.extend(made)
    used = {name for node in made for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


def _before(graph: onnx.GraphProto, ends: set[str]) -> set[str]:
    """Names of the nodes that tensors are made from, directly or not."""
    makers = {name: node for node in graph.node for name in node.output}
    todo, found = list(ends), set[str]()
    while todo:
        node = makers.get(todo.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            todo += node.input
    return found
