"""Matrix products in eight bits, each row of what is multiplied with a scale of its own.

ONNX Runtime's own dynamic quantisation takes one scale for a whole batch: what one sample is answered would depend on
the others in its batch, on their padding, and on whatever stands for what is absent. So each row (each token of each
sample) has its own here, as in ZeroQuant (Yao et al. 2022), which costs no more time.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle.modalities import Array
from export.towers import PRODUCTS, Tower, weights

LARGEST_INPUT, LARGEST_WEIGHT = 127, 63
"""Of integers: seven bits for weights, so that the sum of two products of a byte and a weight fits 16 bits. Processors
without VNNI would saturate it, and answer otherwise than those with."""
PREFIX = "rows_"
LEAST = np.float32(1e-30)
"""Of a scale: a row of zeros is divided by something."""
CONSTANTS: dict[str, Array] = {
    "one": np.array(1, np.float32),
    "middle": np.array(128, np.uint8),
    "step": np.array(1 / LARGEST_INPUT, np.float32),
    "least": np.array(LEAST),
    "last": np.array([-1]),
}


def quantize_rows(model: onnx.ModelProto, tower: Tower) -> int:
    """Replace the products of a tower with constant matrices; returns how many there were.

    Args:
        model: changed in place; its nodes have names of their own.
        tower: in which they are.
    """
    graph, chosen = model.graph, set(tower.nodes)
    known = weights(graph)
    nodes: list[onnx.NodeProto] = []
    made: dict[str, Array] = {}
    rows: dict[str, tuple[str, str]] = {}
    count = 0
    for node in graph.node:
        matrix = _matrix(node, known) if node.name in chosen else None
        if matrix is None:
            nodes.append(node)
            continue
        count += 1
        entering, weight = node.input[:2]
        if entering not in rows:
            rows[entering] = _quantize(entering, nodes)
        transposed = node.op_type == "Gemm" and _attribute(node, "transB", 0) == 1
        values, scales = _integers(matrix.T if transposed else matrix)
        integers = f"{PREFIX}{weight}_{'transposed' if transposed else 'plain'}"
        made |= {integers: values, f"{integers}_scale": scales}
        nodes += _product(node, rows[entering], integers)
    del graph.node[:]
    graph.node.extend(nodes)
    taken = {tensor.name for tensor in graph.initializer}
    constants = {PREFIX + name: value for name, value in CONSTANTS.items()} if count else {}
    fresh = {name: value for name, value in (made | constants).items() if name not in taken}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in fresh.items())
    return count


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove constants that no node takes any more."""
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _matrix(node: onnx.NodeProto, known: dict[str, onnx.TensorProto]) -> Array | None:
    """The constant matrix that a node multiplies by; None where it does something else."""
    if node.op_type not in PRODUCTS or node.input[1] not in known:
        return None
    plain = all(
        _attribute(node, name, usual) == usual for name, usual in (("alpha", 1.0), ("beta", 1.0), ("transA", 0))
    )
    matrix = numpy_helper.to_array(known[node.input[1]])
    return matrix if plain and matrix.ndim == 2 and matrix.dtype == np.float32 else None


def _attribute(node: onnx.NodeProto, name: str, usual: float) -> float:
    found = [helper.get_attribute_value(one) for one in node.attribute if one.name == name]
    return float(found[0]) if found else usual


def _integers(matrix: Array) -> tuple[Array, Array]:
    """A matrix `(rows, columns)` as int8, and the scale of each column."""
    scales = np.maximum(np.abs(matrix).max(axis=0) / LARGEST_WEIGHT, LEAST).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales


def _quantize(entering: str, nodes: list[onnx.NodeProto]) -> tuple[str, str]:
    """Append what makes integers of a tensor, by its last axis; returns their name and that of their scales."""
    place = PREFIX + entering
    named = {name: PREFIX + name for name in CONSTANTS}
    for kind, inputs, output in (
        ("Abs", [entering], "size"),
        ("ReduceMax", [f"{place}_size", named["last"]], "largest"),
        ("Mul", [f"{place}_largest", named["step"]], "exact"),
        ("Max", [f"{place}_exact", named["least"]], "scale"),
        ("Div", [entering, f"{place}_scale"], "ratio"),
        ("QuantizeLinear", [f"{place}_ratio", named["one"], named["middle"]], "integers"),
    ):
        nodes.append(helper.make_node(kind, inputs, [f"{place}_{output}"], name=f"{place}_{output}"))
    return f"{place}_integers", f"{place}_scale"


def _product(node: onnx.NodeProto, row: tuple[str, str], weight: str) -> list[onnx.NodeProto]:
    """What takes the place of a product: in integers, then scaled by column and by row, then the bias added."""
    [output], (integers, scale) = node.output, row
    bias = list(node.input[2:]) if node.op_type == "Gemm" else []
    whole, real, columns = (f"{PREFIX}{output}_{part}" for part in ("whole", "real", "columns"))
    product = f"{PREFIX}{output}_product" if bias else output
    return [
        helper.make_node("MatMulInteger", [integers, weight, f"{PREFIX}middle"], [whole], name=whole),
        helper.make_node("Cast", [whole], [real], name=real, to=TensorProto.FLOAT),
        helper.make_node("Mul", [real, f"{weight}_scale"], [columns], name=columns),
        helper.make_node("Mul", [columns, scale], [product], name=f"{PREFIX}{output}_product"),
        *([helper.make_node("Add", [product, *bias], [output], name=node.name)] if bias else []),
    ]
