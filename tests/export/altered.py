"""Graphs that are not what they should be, each by one change, for the proofs to refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle.manifest import GRAPH
from export.parity import load
from tests.export.conftest import Exported

Change = Callable[[onnx.ModelProto], None]


def size(value: Any, position: int) -> Any:
    return value.type.tensor_type.shape.dim[position]


def another_output(model: onnx.ModelProto) -> None:
    name = model.graph.output[1].name
    for node in model.graph.node:
        node.input[:] = ["share" if entry == name else entry for entry in node.input]
        node.output[:] = ["share" if entry == name else entry for entry in node.output]
    model.graph.output[1].name = "share"


def one_output_more(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Neg", ["logits"], ["context"]))
    model.graph.output.append(helper.make_tensor_value_info("context", TensorProto.FLOAT, ["batch", 3]))


def one_input_more(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))


def floats_for_pixels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def fixed_batch(model: onnx.ModelProto) -> None:
    size(model.graph.input[0], 0).dim_value = 2


def fixed_batch_of_answers(model: onnx.ModelProto) -> None:
    size(model.graph.output[0], 0).dim_value = 2


def free_height(model: onnx.ModelProto) -> None:
    size(model.graph.input[0], 2).dim_param = "height"


def two_batches(model: onnx.ModelProto) -> None:
    size(model.graph.input[1], 0).dim_param = "another"


def wrap(model: onnx.ModelProto, *nodes: onnx.NodeProto, output: str = "logits", **constants: Any) -> None:
    """Let `nodes` compute an output from what it was before, now called `before`."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["before" if entry == output else entry for entry in names]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(nodes)


def one_axis_more(model: onnx.ModelProto) -> None:
    wrap(model, helper.make_node("Unsqueeze", ["before", "first"], ["logits"]), first=np.array([0]))


def reshaped_to_the_traced_batch(model: onnx.ModelProto) -> None:
    wrap(model, helper.make_node("Reshape", ["before", "traced"], ["logits"]), traced=np.array([2, 3]))


def weight(model: onnx.ModelProto) -> onnx.TensorProto:
    [found] = [entry for entry in model.graph.initializer if entry.name == "model.fusion.heads.genomics.weight"]
    return found


def perturbed(model: onnx.ModelProto) -> None:
    found = weight(model)
    values = numpy_helper.to_array(found).copy()
    values[0, 0] += 0.05
    found.CopyFrom(numpy_helper.from_array(values, found.name))


def not_a_number(model: onnx.ModelProto) -> None:
    found = weight(model)
    values = numpy_helper.to_array(found).copy()
    values[0, 0] = np.nan
    found.CopyFrom(numpy_helper.from_array(values, found.name))


def shifted_logits(model: onnx.ModelProto) -> None:
    """The same for every class, so that no probability changes."""
    wrap(model, helper.make_node("Add", ["before", "shift"], ["logits"]), shift=np.full((1, 3), 0.5, np.float32))


def centred_on_the_batch(model: onnx.ModelProto) -> None:
    mean = helper.make_node("ReduceMean", ["before", "first"], ["batch_mean"], keepdims=1)
    wrap(model, mean, helper.make_node("Sub", ["before", "batch_mean"], ["logits"]), first=np.array([0]))


def no_mask(model: onnx.ModelProto) -> None:
    """What is present is what it always was."""
    mask = model.graph.input.pop()
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 2), np.bool_), mask.name))


def numbers_for_the_mask(model: onnx.ModelProto) -> None:
    model.graph.input[-1].type.tensor_type.elem_type = TensorProto.INT64


def free_mask(model: onnx.ModelProto) -> None:
    size(model.graph.input[-1], 1).dim_param = "modalities"


def fewer_coalitions(model: onnx.ModelProto) -> None:
    [output] = [entry for entry in model.graph.output if entry.name == "coalitions"]
    size(output, 1).dim_value = 2


def perturbed_distance(model: onnx.ModelProto) -> None:
    node = helper.make_node("Mul", ["before", "factor"], ["shift_genomics"])
    wrap(model, node, output="shift_genomics", factor=np.float32(1.01))


def infinite_distance(model: onnx.ModelProto) -> None:
    node = helper.make_node("Add", ["before", "far"], ["shift_genomics"])
    wrap(model, node, output="shift_genomics", far=np.float32(np.inf))


def perturbed_coalition(model: onnx.ModelProto) -> None:
    change = np.zeros((1, 4, 3), np.float32)
    change[0, 2, 0] = 0.01
    wrap(model, helper.make_node("Add", ["before", "change"], ["coalitions"]), output="coalitions", change=change)


def changed(one: Exported, change: Change) -> onnx.ModelProto:
    model = onnx.load(one.bundle / GRAPH)
    change(model)
    return model


def saved(model: onnx.ModelProto, folder: Path) -> Any:
    onnx.save(model, folder / GRAPH)
    return load(folder / GRAPH)


def shifted_coalitions(model: onnx.ModelProto) -> None:
    """The same for every class, so that no probability changes."""
    node = helper.make_node("Add", ["before", "half"], ["coalitions"])
    wrap(model, node, output="coalitions", half=np.full((1, 1, 1), 0.5, np.float32))


def looking_at_what_is_absent(model: onnx.ModelProto) -> None:
    """A millionth of the mean of one input, present or not, in every logit."""
    mean = helper.make_node("ReduceMean", ["genomics", "features"], ["mean_genes"], keepdims=1)
    small = helper.make_node("Mul", ["mean_genes", "millionth"], ["small"])
    add = helper.make_node("Add", ["before", "small"], ["logits"])
    wrap(model, mean, small, add, features=np.array([1]), millionth=np.float32(1e-6))


def looking_at_absent_pixels(model: onnx.ModelProto) -> None:
    floats = helper.make_node("Cast", ["pathology"], ["pixels"], to=TensorProto.FLOAT)
    mean = helper.make_node("ReduceMean", ["pixels", "features"], ["mean_pixels"], keepdims=0)
    add = helper.make_node("Add", ["before", "mean_pixels"], ["shift_genomics"])
    wrap(model, floats, mean, add, output="shift_genomics", features=np.array([1, 2, 3]))


def distance_of_what_is_absent(model: onnx.ModelProto) -> None:
    node = helper.make_node("Add", ["before", "one_more"], ["shift_pathology"])
    wrap(model, node, output="shift_pathology", one_more=np.float32(1))
