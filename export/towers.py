"""The towers of a graph: for each modality, the nodes between its input and its features, and what they multiply by."""

from dataclasses import dataclass
from math import prod
from typing import Literal

import onnx

CONVOLUTIONS, PRODUCTS = ("Conv",), ("MatMul", "Gemm")
Way = Literal["static", "dynamic"]


@dataclass(frozen=True)
class Tower:
    """One modality's encoder. It ends where its features are whole: before distances, stand-ins and heads."""

    modality: str
    features: str
    """The tensor that everything goes through that the graph makes of this modality."""
    nodes: tuple[str, ...]
    """Names, in the graph's order."""
    way: Way | None
    """`static` where most of its weights are those of convolutions, `dynamic` where they are those of matrix products;
    None where it has neither."""


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
            assert node.name not in taken
        taken.add(node.name)


def find_tower(model: onnx.ModelProto, modality: str) -> Tower:
    """The tower that begins at an input.

    Its features are the last tensor that every path from the input to an output leads through, sizes of arrays apart.

    Args:
        model: whose nodes have names of their own.
        modality: name of the input.
    """
    graph = model.graph
    left: dict[str, int] = {}
    for name in (*(name for node in graph.node for name in node.input), *(value.name for value in graph.output)):
        left[name] = left.get(name, 0) + 1
    alive, depends, features, between = {modality}, {modality}, modality, list[onnx.NodeProto]()
    tower: list[onnx.NodeProto] = []
    for node in graph.node:
        found = [name for name in node.input if name in depends]
        for name in found:
            left[name] -= 1
        alive -= {name for name in found if not left[name]}
        if not found or node.op_type == "Shape":
            continue
        between.append(node)
        depends |= set(node.output)
        alive |= {name for name in node.output if left.get(name)}
        if len(alive) == 1 and _alone(node, depends, graph):
            [features], tower = alive, [*tower, *between]
            between = []
    return Tower(modality, features, tuple(node.name for node in tower), _way(tower, graph))


def weights(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The graph's constants by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def _alone(node: onnx.NodeProto, depends: set[str], graph: onnx.GraphProto) -> bool:
    """Whether what goes into a node is of this input alone: not of another, nor of which modalities are present."""
    makers = {name: one for one in graph.node for name in one.output}
    others, seen, todo = {value.name for value in graph.input} - depends, set[str](), list(node.input)
    while todo:
        name = todo.pop()
        if name in others:
            return False
        if name not in seen and name in makers and makers[name].op_type != "Shape":
            todo += makers[name].input
        seen.add(name)
    return True


def _way(tower: list[onnx.NodeProto], graph: onnx.GraphProto) -> Way | None:
    sizes = {name: prod(tensor.dims) for name, tensor in weights(graph).items()}
    convolved, multiplied = (
        sum(sizes.get(node.input[1], 0) for node in tower if node.op_type in kinds)
        for kinds in (CONVOLUTIONS, PRODUCTS)
    )
    if not convolved + multiplied:
        return None
    return "static" if convolved >= multiplied else "dynamic"
