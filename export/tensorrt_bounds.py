"""Upper bounds for clips of sixteen bits that have none: TensorRT takes that of 32 bits, and warns."""

from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

LARGEST: dict[int, Any] = {
    TensorProto.FLOAT16: np.array(0x7BFF, np.uint16).view(np.float16),
    TensorProto.BFLOAT16: np.array(0x7F7F, np.uint16).view(ml_dtypes.bfloat16),
}
"""Of each type, which no value but infinity exceeds."""


def bound(model: onnx.ModelProto) -> None:
    """Give every clip with a lower bound in sixteen bits and no upper one the largest number of its type.

    Args:
        model: changed in place.
    """
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Clip" and len(node.input) == 2 and (kind := types.get(node.input[1])) in LARGEST:
            name = f"{node.input[1]}_largest"
            if name not in types:
                types[name] = kind
                model.graph.initializer.append(numpy_helper.from_array(LARGEST[kind], name))
            node.input.append(name)
