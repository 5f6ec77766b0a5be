"""Attention as ONNX Runtime computes it best on a GPU: found in an exported graph and fused, masks and biases apart."""

import numpy as np
import onnx
import onnx_ir
from onnx import NodeProto, helper, numpy_helper
from onnxscript.rewriter.ort_fusions import optimize_for_ort

CONTRIB = "com.microsoft"
BIAS, MASK = 2, 5
"""Positions of inputs of com.microsoft.Attention."""


class Fused:
    """A graph whose attention, layer normalisation and GELU are single nodes; one without any stays as it is.

    Attention comes packed, the three projections one product (com.microsoft.Attention). A mask that lets everything
    through, which the exporter writes out for a ViT, is left out: with a mask ONNX Runtime takes a slower kernel.

    Args:
        model: as exported; it is not changed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        made, self.counts = optimize_for_ort(onnx_ir.from_proto(model))
        """Fusions by name."""
        self.model: onnx.ModelProto = onnx_ir.to_proto(made)
        self._read()
        for node in self.attentions:
            if len(node.input) > MASK and self._lets_all_through(node.input[MASK]):
                del node.input[BIAS + 1 :]

    def _read(self) -> None:
        graph = self.model.graph
        self.makers = {name: node for node in graph.node for name in node.output}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.attentions = [node for node in graph.node if (node.domain, node.op_type) == (CONTRIB, "Attention")]

    def _value(self, name: str) -> np.ndarray | None:
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def _lets_all_through(self, mask: str) -> bool:
        node = self.makers.get(mask)
        if node is None or node.op_type != "Where":
            return False
        passed, source = self._value(node.input[1]), node.input[0]
        while (maker := self.makers.get(source)) is not None and maker.op_type in ("Expand", "Unsqueeze", "Reshape"):
            source = maker.input[0]
        condition = self._value(source)
        return passed is not None and condition is not None and not passed.any() and bool(condition.all())

    def split(self) -> onnx.ModelProto:
        """With the projections apart (com.microsoft.MultiHeadAttention), so that no kernel has to rearrange them.

        Two of their biases cost nothing then, in exact arithmetic: that of the keys adds the same to every score of a
        query, which softmax does not see; that of the values passes through weights that sum to 1, so it belongs to the
        bias of the projection behind.
        """
        found = Fused.__new__(Fused)
        found.counts, found.model = self.counts, onnx.ModelProto()
        found.model.CopyFrom(self.model)
        found._read()
        graph = found.model.graph
        nodes: list[NodeProto] = []
        for node in graph.node:
            nodes += found._apart(node) if any(node is one for one in found.attentions) else [node]
        del graph.node[:]
        graph.node.extend(nodes)
        return found.model

    def _apart(self, node: NodeProto) -> list[NodeProto]:
        source, names = node.input[0], [f"{node.output[0]}_{part}" for part in ("query", "key", "value")]
        weights = self._weights(node.input[1], names)
        bias = self._value(node.input[BIAS])
        assert bias is not None and len(weights) == 3
        query, _, value = np.split(bias, 3)
        made = [
            helper.make_node("MatMul", [source, weight], [f"{name}_product" if position == 0 else name])
            for position, (name, weight) in enumerate(zip(names, weights, strict=True))
        ]
        made.append(helper.make_node("Add", [f"{names[0]}_product", self._add(f"{names[0]}_bias", query)], [names[0]]))
        if not self._hand_on(node.output[0], value):
            made[2].output[0] = f"{names[2]}_product"
            made.append(helper.make_node("Add", [made[2].output[0], self._add(f"{names[2]}_bias", value)], [names[2]]))
        mask = ["", "", node.input[MASK]] if len(node.input) > MASK else []
        [heads] = [entry.i for entry in node.attribute if entry.name == "num_heads"]
        made.append(
            helper.make_node("MultiHeadAttention", [*names, *mask], list(node.output), domain=CONTRIB, num_heads=heads)
        )
        return made

    def _weights(self, packed: str, names: list[str]) -> list[str]:
        """Of the three projections: as they were joined, or cut out of what they were folded into."""
        together = self._value(packed)
        if together is None:
            return list(self.makers[packed].input)
        parts = np.split(together, 3, axis=1)
        return [self._add(f"{name}_weight", part) for name, part in zip(names, parts, strict=True)]

    def _hand_on(self, output: str, value: np.ndarray) -> bool:
        """Add the values' bias to that of the projection of `output`; whether there was one."""
        users = self._users(output)
        weight = self._value(users[0].input[1]) if [user.op_type for user in users] == ["MatMul"] else None
        if weight is None:
            return False
        for user in self._users(users[0].output[0]):
            for position, name in enumerate(user.input):
                own = self._value(name)
                right = position == 4 if user.op_type == "SkipLayerNormalization" else user.op_type == "Add"
                if right and own is not None and own.shape == value.shape:
                    user.input[position] = self._add(f"{output}_bias", own + value @ weight)
                    return True
        return False

    def _users(self, name: str) -> list[NodeProto]:
        return [node for node in self.model.graph.node if name in node.input]

    def _add(self, name: str, values: np.ndarray) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
