"""A bundle that is never done, to be cancelled."""

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle.manifest import GRAPH
from bundle.predictor import Predictor
from tests.bundles import build_bundle
from tests.serving.samples import rehash


def build_endless(folder: Path) -> Predictor:
    """A bundle whose graph counts for hours before it answers."""
    build_bundle(folder, ("text", "genomics"))
    model = onnx.load(folder / GRAPH)
    graph = model.graph
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Add", ["before", "before"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    last = graph.node[-1]
    last.output[0] = "once"
    graph.initializer.append(numpy_helper.from_array(np.array(10**12), "turns"))
    graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    graph.node.append(helper.make_node("Loop", ["turns", "true", "once"], ["logits"], body=body))
    onnx.save(model, os.fspath(folder / GRAPH))
    rehash(folder)
    return Predictor(folder, threads=1)
