"""Proof that a graph is the model it came from: names, axes, shapes, values, each with its own error."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto

from bundle.answer import SHIFT, softmax
from bundle.modalities import Array
from bundle.runtime import onnxruntime
from export.errors import AxisMismatch, ExportError, OutputMismatch, ShapeMismatch, ValueMismatch, first_line
from export.feeds import Feed
from export.graph import Axis, Declaration, Graph, Shape

TOLERANCE = 1e-4
"""Largest difference of a probability, between torch and the graph or between two answers that must be the same; of a
distance from the training data, as a share of one more than itself."""
TYPES = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float32", TensorProto.INT64: "int64", TensorProto.BOOL: "bool"}


def prove_names(model: onnx.ModelProto, declaration: Declaration) -> None:
    """Inputs and outputs are exactly the declared ones, of the declared types.

    Raises:
        OutputMismatch: they are not.
    """
    inputs = {value.name: TYPES.get(value.type.tensor_type.elem_type, "other") for value in model.graph.input}
    if inputs != declaration.dtypes:
        raise OutputMismatch(f"inputs: declared {declaration.dtypes}, the graph has {inputs}")
    outputs = {value.name: TYPES.get(value.type.tensor_type.elem_type, "other") for value in model.graph.output}
    declared = dict.fromkeys(declaration.outputs, "float32")
    if outputs != declared:
        raise OutputMismatch(f"outputs: declared {declared}, the graph has {outputs}")


def prove_axes(model: onnx.ModelProto, declaration: Declaration) -> None:
    """Exactly the declared axes vary, and one axis has one name wherever it occurs.

    Raises:
        AxisMismatch: one is fixed that must vary, or varies that must not, or has another size or name.
    """
    declared: dict[str, Shape] = {**declaration.inputs, **declaration.outputs}
    for value in (*model.graph.input, *model.graph.output):
        found = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        expected = [axis.name if isinstance(axis, Axis) else axis for axis in declared[value.name]]
        if found != expected:
            raise AxisMismatch(f"{value.name}: declared {expected}, the graph has {found}")


def load(path: Path, optimised: bool = True) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        path: of the graph.
        optimised: whether nodes may be joined and integers kept between them, as in a service.

    Raises:
        ExportError: ONNX Runtime refuses the graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own and built-in types
        raise ExportError(f"ONNX Runtime does not load the graph: {first_line(error)}") from None


def run(session: Any, feed: Feed) -> dict[str, Array]:
    """Outputs by name.

    Raises:
        ShapeMismatch: the graph does not run on this batch.
    """
    names = [node.name for node in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, feed), strict=True))
    except Exception as error:  # ONNX Runtime raises its own and built-in types
        shapes = {name: array.shape for name, array in feed.items()}
        raise ShapeMismatch(f"the graph does not take inputs of {shapes}, torch does: {first_line(error)}") from None


def prove_values(session: Any, graph: Graph, feeds: list[Feed], names: list[str]) -> float:
    """ONNX Runtime and torch give the same probabilities and distances; returns the largest difference found.

    Args:
        session: of the graph.
        graph: the model in torch.
        feeds: batches of inputs by name.
        names: of the outputs, as torch gives them.

    Raises:
        ShapeMismatch: an output of another shape.
        ValueMismatch: a difference over `TOLERANCE`; lists every output.
    """
    worst = dict.fromkeys(names, 0.0)
    for feed in feeds:
        with torch.inference_mode():
            expected = [out.numpy() for out in graph(*(torch.from_numpy(feed[name]) for name in graph.names))]
        found = run(session, feed)
        for name, other in zip(names, expected, strict=True):
            if found[name].shape != other.shape:
                raise ShapeMismatch(f"{name}: torch gives {other.shape}, the graph {found[name].shape}")
            worst[name] = max(worst[name], difference(name, found[name], other))
    if max(worst.values()) > TOLERANCE:
        listed = ", ".join(f"{name} {value:.2g}" for name, value in worst.items())
        raise ValueMismatch(f"outputs differ from torch's by more than {TOLERANCE}: {listed}")
    return max(worst.values())


def difference(name: str, one: Array, other: Array) -> float:
    """How far two arrays of an output are apart, infinite where one is not a number.

    Args:
        name: of the output.
        one: its values.
        other: values of the same shape; for distances, those that the difference is a share of.
    """
    if name.startswith(SHIFT):
        found = np.abs(one.astype(np.float64) - other) / (1.0 + np.abs(other))
    else:
        found = np.abs(softmax(one) - softmax(other))
    worst = float(found.max(initial=0.0))
    return worst if np.isfinite(worst) else float("inf")
