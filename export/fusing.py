"""Attention, layer normalisation and GELU as single nodes, which a GPU computes in a kernel each: `--fused`."""

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import onnx
import onnx_ir
from onnx import NodeProto, helper, numpy_helper
from onnxscript.rewriter.ort_fusions import optimize_for_ort

from bundle.graph_file import OWN, OWN_OPERATORS
from bundle.modalities import Array
from export.errors import ExportError, first_line
from export.rows import drop_unused
from export.to_onnx import strip

ATTENTIONS = ("Attention", "MultiHeadAttention")
WEIGHT, BIAS, MASK = 1, 2, 5
"""Positions of inputs of Attention; a mask, which is added to the scores, has the same of both kinds."""


class Fused:
    """A graph whose attention, layer normalisation and GELU are single nodes; one without attention stays as it is.

    Attention comes packed where it can, the three projections one product. A mask that lets everything through, which
    the exporter writes out for a ViT, is left out: with any mask ONNX Runtime takes a slower kernel.

    Args:
        model: in 32 bits, as exported; it is not changed. Casts to fewer bits would hide the patterns.

    Raises:
        ExportError: the graph cannot be fused, or not into nodes that a bundle may have.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        try:
            made, _ = optimize_for_ort(onnx_ir.from_proto(deepcopy(model)))
            self.model: onnx.ModelProto = onnx_ir.to_proto(made)
        except Exception as error:  # onnxscript raises many types
            raise ExportError(f"the graph cannot be fused: {first_line(error)}") from error
        self._read()
        if not self.attentions:
            self.model = deepcopy(model)
            self._read()
            return
        self._take_products_apart()
        unknown = {node.op_type for node in self.model.graph.node if node.domain == OWN} - OWN_OPERATORS
        if unknown:
            raise ExportError(
                f"the graph cannot be fused: expected nodes among {', '.join(sorted(OWN_OPERATORS))}, "
                f"found {', '.join(sorted(unknown))}"
            )
        for node in self.attentions:
            self._join(node.input[WEIGHT])
            self._leave_out_mask(node)
        _drop_idle(self.model)
        strip(self.model)
        self._read()

    def _read(self) -> None:
        graph = self.model.graph
        self._makers = {name: node for node in graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self.attentions = [node for node in graph.node if node.domain == OWN and node.op_type in ATTENTIONS]
        """Of the fused graph."""

    def _value(self, name: str) -> Array | None:
        tensor = self._constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def _take_products_apart(self) -> None:
        """Undo the one fusion that ONNX Runtime does by itself when it loads a graph: products with what is transposed
        or scaled. Its node is not ONNX's, and stands in heads too, which are not fused."""
        graph = self.model.graph
        ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in (*graph.value_info, *graph.input)}
        ranks |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}
        nodes: list[NodeProto] = []
        for node in graph.node:
            plain = node.domain == OWN and node.op_type == "FusedMatMul" and all(name in ranks for name in node.input)
            nodes += _product(node, ranks) if plain else [node]
        del graph.node[:]
        graph.node.extend(nodes)
        self._read()

    def _join(self, packed: str) -> None:
        """Make a constant of weights that are joined whenever the graph is loaded: they could not be halved."""
        maker = self._makers.get(packed)
        parts = [] if maker is None or maker.op_type != "Concat" else [self._value(name) for name in maker.input]
        known = [part for part in parts if part is not None]
        if maker is None or not known or len(known) < len(parts):
            return
        [axis] = [entry.i for entry in maker.attribute if entry.name == "axis"]
        self.model.graph.initializer.append(numpy_helper.from_array(np.concatenate(known, axis=axis), packed))
        self.model.graph.node.remove(maker)

    def _leave_out_mask(self, node: NodeProto) -> None:
        if len(node.input) > MASK and self._lets_all_through(node.input[MASK]):
            kept = list(node.input[:MASK])
            while not kept[-1]:
                kept.pop()
            node.input[:] = kept

    def _lets_all_through(self, mask: str) -> bool:
        node = self._makers.get(mask)
        if node is None or node.op_type != "Where":
            return False
        passed, source = self._value(node.input[1]), node.input[0]
        while (maker := self._makers.get(source)) is not None and maker.op_type in ("Expand", "Unsqueeze", "Reshape"):
            source = maker.input[0]
        condition = self._value(source)
        return passed is not None and condition is not None and not passed.any() and bool(condition.all())


def standing_in(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with other nodes of the same types and shapes in the place of those that ONNX's inference does not
    know, ONNX Runtime's own; the same object where there are none.

    Args:
        model: left as it is.
    """
    if all(node.domain != OWN for node in model.graph.node):
        return model
    found = deepcopy(model)
    nodes: list[NodeProto] = []
    for node in found.graph.node:
        if node.domain == OWN:
            nodes += [helper.make_node("Identity", [node.input[0]], [name]) for name in node.output if name]
        else:
            nodes.append(node)
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    return found


def _product(node: NodeProto, ranks: Mapping[str, int]) -> list[NodeProto]:
    """A fused product as nodes of ONNX; as it is where it does more than transpose the last two axes, and scale."""
    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if given.get("transBatchA") or given.get("transBatchB"):
        return [node]
    [output], made, factors = node.output, list[NodeProto](), list(node.input)
    for place, option in enumerate(("transA", "transB")):
        if given.get(option):
            *front, last, end = range(ranks[factors[place]])
            turned = f"{output}_{option}"
            made.append(helper.make_node("Transpose", [factors[place]], [turned], perm=[*front, end, last]))
            factors[place] = turned
    scale = given.get("alpha", 1.0)
    if scale == 1.0:
        return [*made, helper.make_node("MatMul", factors, [output])]
    product, factor = f"{output}_product", f"{output}_alpha"
    value = numpy_helper.from_array(np.array(scale, np.float32))
    return [
        *made,
        helper.make_node("MatMul", factors, [product]),
        helper.make_node("Constant", [], [factor], value=value),
        helper.make_node("Mul", [product, factor], [output]),
    ]


def _drop_idle(model: onnx.ModelProto) -> None:
    """Remove nodes and constants that no output depends on."""
    graph = model.graph
    needed, kept = {value.name for value in graph.output}, list[NodeProto]()
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    drop_unused(model)
