"""A look through an ONNX file before ONNX Runtime reads it: nothing outside of it, nothing absurd in it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bundle.errors import ManifestError
from bundle.manifest import GRAPH
from bundle.tensor_file import SMALL, Tensor, read_few
from bundle.wire import BYTES, Malformed, Value, read_fields

OWN = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
OWN_OPERATORS = frozenset(("Attention", "MultiHeadAttention", "SkipLayerNormalization", "BiasGelu"))
"""Those of them that an export writes (`export.fusing`); a graph may have no others."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", OWN)
"""Of operators: those that ONNX Runtime brings itself."""
LARGEST_SHAPE = 1 << 28
"""Elements of an array that a graph may make out of a constant shape."""
DEEPEST = 16
"""Graphs within graphs."""
MOST_FIELDS = 5_000_000

SHAPES = {"ConstantOfShape": (0,), "Expand": (1,), "Tile": (1,), "Resize": (3,)}
"""Operators that make an array as large as one of their inputs says, and which: sizes along the axes."""
COUNTS = {"Range": (0, 1), "OneHot": (1,), "Pad": (1,)}
"""The same where each number is a count of its own."""
RANDOM = ("RandomNormal", "RandomUniform")
OTHER_FILES = ("EPContext",)
ANOTHER_FORMAT = b"ORTM"
"""Of ONNX Runtime itself, which would be recognised by these bytes at place 4 whatever else the file is."""

MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTION = 7, 20, 25
GRAPH_NODE, GRAPH_TENSOR, GRAPH_SPARSE = 1, 5, 15
FUNCTION_NODE, FUNCTION_DOMAIN, FUNCTION_ATTRIBUTE = 7, 10, 11
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_FLOATS, ATTRIBUTE_WHOLE = 1, (2, 7), (3, 8)
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSES = (5, 10), (6, 11), (22, 23)
SPARSE_TENSORS, SPARSE_DIMENSIONS = (1, 2), 3


@dataclass
class _Node:
    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, list[float]] = field(default_factory=dict)
    """Numbers of each attribute, where they are few."""


def check_graph_file(content: bytes) -> bool:
    """Refuse a graph that needs another file, promises more than it holds, or brings operators of its own.

    Returns whether it has operators of ONNX Runtime's own, which no other runtime computes.

    ONNX Runtime would read external data from wherever the process happens to run, and expand a shape of any size.

    Raises:
        ManifestError: in one line.
    """
    try:
        if content[4:8] == ANOTHER_FORMAT:
            raise Malformed("another format")
        return _Look().model(memoryview(content))
    except Malformed as error:
        raise ManifestError(f"{GRAPH}: expected a graph that loads from this file alone, found {error}") from None


class _Look:
    """One walk through a file; constants are known by name, wherever they stand."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS
        self._constants: dict[str, list[list[float]]] = {}
        self._nodes: list[_Node] = []

    def model(self, message: memoryview) -> bool:
        """ModelProto; whether it has ONNX Runtime's own operators."""
        found = False
        wanted = (MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTION)
        for number, value in self._messages(message, wanted, once=(MODEL_GRAPH,)):
            found = found or number == MODEL_GRAPH
            if number == MODEL_TRAINING:
                raise Malformed("a graph for training")
            if number == MODEL_GRAPH:
                self._graph(value, 0)
            else:
                self._function(value)
        if not found:
            raise Malformed("none")
        for node in self._nodes:
            self._check_shapes(node)
        return any(node.domain == OWN for node in self._nodes)

    def _fields(self, message: memoryview, once: tuple[int, ...] = ()) -> Iterator[tuple[int, int, Value]]:
        """Every field; one of `once` must not come twice, for readers would merge the two."""
        seen = set()
        for number, wire, value in read_fields(message):
            self._left -= 1
            if self._left < 0:
                raise Malformed(f"over {MOST_FIELDS:,} fields")
            if number in once:
                if number in seen:
                    raise Malformed("a part that may come once, twice")
                seen.add(number)
            yield number, wire, value

    def _messages(
        self, message: memoryview, wanted: tuple[int, ...], once: tuple[int, ...] = ()
    ) -> Iterator[tuple[int, memoryview]]:
        for number, wire, value in self._fields(message, once):
            if number in wanted:
                yield number, _bytes(wire, value)

    def _graph(self, message: memoryview, depth: int) -> None:
        if depth > DEEPEST:
            raise Malformed(f"over {DEEPEST} graphs within each other")
        for number, value in self._messages(message, (GRAPH_NODE, GRAPH_TENSOR, GRAPH_SPARSE)):
            if number == GRAPH_NODE:
                self._node(value, depth)
            elif number == GRAPH_TENSOR:
                tensor = self._tensor(value)
                self._constants.setdefault(tensor.name, []).append(tensor.numbers())
            else:
                self._sparse(value)

    def _function(self, message: memoryview) -> None:
        for number, wire, value in self._fields(message):
            if number == FUNCTION_DOMAIN:
                _check_domain(_text(wire, value))
            elif number == FUNCTION_NODE:
                self._node(_bytes(wire, value), 0)
            elif number == FUNCTION_ATTRIBUTE:
                self._attribute(_bytes(wire, value), _Node(), 0)

    def _node(self, message: memoryview, depth: int) -> None:
        node = _Node()
        self._nodes.append(node)
        for number, wire, value in self._fields(message, once=(NODE_OPERATOR, NODE_DOMAIN)):
            if number == NODE_INPUT:
                node.inputs.append(_text(wire, value))
            elif number == NODE_OUTPUT:
                node.outputs.append(_text(wire, value))
            elif number == NODE_OPERATOR:
                node.operator = _text(wire, value)
            elif number == NODE_DOMAIN:
                node.domain = _text(wire, value)
                _check_domain(node.domain)
            elif number == NODE_ATTRIBUTE:
                self._attribute(_bytes(wire, value), node, depth)
        if node.operator in OTHER_FILES:
            raise Malformed(f"the operator {node.operator}, whose content lies in another file")
        if node.domain == OWN and node.operator not in OWN_OPERATORS:
            raise Malformed(f"the operator {node.operator[:60]!r} of {OWN}, none of {', '.join(sorted(OWN_OPERATORS))}")
        if node.operator == "Constant":
            for output in node.outputs:
                self._constants.setdefault(output, []).extend(node.attributes.values())

    def _attribute(self, message: memoryview, node: _Node, depth: int) -> None:
        name, numbers = "", list[float]()
        for number, wire, value in self._fields(message, once=(ATTRIBUTE_NAME, 5, 6, 22)):
            if number == ATTRIBUTE_NAME:
                name = _text(wire, value)
            elif number in ATTRIBUTE_TENSORS:
                numbers += self._tensor(_bytes(wire, value)).numbers()
            elif number in ATTRIBUTE_GRAPHS:
                self._graph(_bytes(wire, value), depth + 1)
            elif number in ATTRIBUTE_SPARSES:
                self._sparse(_bytes(wire, value))
            elif number in ATTRIBUTE_WHOLE:
                numbers += read_few(wire, value)
            elif number in ATTRIBUTE_FLOATS:
                numbers += _few_floats(_bytes(BYTES, value))
        node.attributes[name] = numbers

    def _tensor(self, message: memoryview) -> Tensor:
        tensor = Tensor()
        for number, wire, value in self._fields(message, once=(2, 8, 9, 14)):
            tensor.take(number, wire, value)
        tensor.check()
        return tensor

    def _sparse(self, message: memoryview) -> None:
        dims: list[float] = []
        for number, wire, value in self._fields(message, once=SPARSE_TENSORS):
            if number in SPARSE_TENSORS:
                self._tensor(_bytes(wire, value))
            elif number == SPARSE_DIMENSIONS:
                dims += read_few(wire, value)
        _check_size(math.prod(dims), "a sparse tensor")

    def _check_shapes(self, node: _Node) -> None:
        if node.operator in RANDOM:
            _check_size(_product(node.attributes.get("shape", [])), node.operator)
        for places, reduce in ((SHAPES, _product), (COUNTS, _largest)):
            for place in places.get(node.operator, ()):
                name = node.inputs[place] if place < len(node.inputs) else ""
                for numbers in self._constants.get(name, []):
                    _check_size(reduce(numbers), node.operator)


def _product(numbers: list[float]) -> float:
    return math.prod(max(1.0, abs(number)) for number in numbers)


def _largest(numbers: list[float]) -> float:
    return max(map(abs, numbers), default=0.0)


def _check_size(size: float, what: str) -> None:
    if not abs(size) <= LARGEST_SHAPE:
        raise Malformed(f"{what} of {size:,.0f} elements, over {LARGEST_SHAPE:,}")


def _check_domain(domain: str) -> None:
    if domain not in DOMAINS:
        named = ", ".join(entry for entry in DOMAINS if entry)
        raise Malformed(f"an operator of the domain {domain[:60]!r}, none of {named}")


def _bytes(wire: int, value: Value) -> memoryview:
    if wire != BYTES or not isinstance(value, memoryview):
        raise Malformed(f"a part of wire type {wire}")
    return value


def _few_floats(value: memoryview) -> list[float]:
    if len(value) % 4:
        raise Malformed("numbers cut short")
    return np.frombuffer(value, "<f4").tolist() if len(value) <= 4 * SMALL else []


def _text(wire: int, value: Value) -> str:
    return bytes(_bytes(wire, value)).decode("utf-8", errors="replace")
