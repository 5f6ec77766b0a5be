"""Attention whose projections are apart again, beside the packed one that an export writes."""

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from bundle.graph_file import OWN
from bundle.modalities import Array
from export.fusing import BIAS, MASK, WEIGHT, Fused


class Split(Fused):
    """A fused graph with the projections apart (com.microsoft.MultiHeadAttention): no kernel has to rearrange them.

    Two of their biases cost nothing then, in exact arithmetic: that of the keys adds the same to every score of a
    query, which softmax does not see; that of the values passes through weights that sum to 1, so it belongs to the
    bias of the projection behind.

    Args:
        fused: with packed attention; it is not changed.
    """

    def __init__(self, fused: Fused) -> None:
        self.model = type(fused.model)()
        self.model.CopyFrom(fused.model)
        self._read()
        graph = self.model.graph
        nodes: list[NodeProto] = []
        for node in graph.node:
            nodes += self._apart(node) if any(node is one for one in self.attentions) else [node]
        del graph.node[:]
        graph.node.extend(nodes)
        self._read()

    def _apart(self, node: NodeProto) -> list[NodeProto]:
        source, names = node.input[0], [f"{node.output[0]}_{part}" for part in ("query", "key", "value")]
        together, bias = self._value(node.input[WEIGHT]), self._value(node.input[BIAS])
        assert together is not None and bias is not None and node.op_type == "Attention"
        query, _, value = np.split(bias, 3)
        made = [
            helper.make_node(
                "MatMul", [source, self._add(f"{name}_weight", part)], [f"{name}_product" if position == 0 else name]
            )
            for position, (name, part) in enumerate(zip(names, np.split(together, 3, axis=1), strict=True))
        ]
        made.append(helper.make_node("Add", [f"{names[0]}_product", self._add(f"{names[0]}_bias", query)], [names[0]]))
        if not self._hand_on(node.output[0], value):
            made[2].output[0] = f"{names[2]}_product"
            made.append(helper.make_node("Add", [made[2].output[0], self._add(f"{names[2]}_bias", value)], [names[2]]))
        mask = ["", "", node.input[MASK]] if len(node.input) > MASK else []
        [heads] = [entry.i for entry in node.attribute if entry.name == "num_heads"]
        made.append(
            helper.make_node("MultiHeadAttention", [*names, *mask], list(node.output), domain=OWN, num_heads=heads)
        )
        return made

    def _hand_on(self, output: str, value: Array) -> bool:
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

    def _add(self, name: str, values: Array) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
