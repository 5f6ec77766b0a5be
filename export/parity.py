"""Proof that a graph is the model it came from: names, axes, shapes, values, each with its own error."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto

from bundle.answer import softmax
from bundle.modalities import Array, Modality
from export.errors import AxisMismatch, OutputMismatch, ShapeMismatch, ValueMismatch
from export.graph import Axis, Declaration, Graph, Shape

TOLERANCE = 1e-4
BATCHES = (1, 3, 7)
"""Batch sizes that the graph was not traced with."""
TYPES = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float32", TensorProto.INT64: "int64"}


def prove_names(model: onnx.ModelProto, declaration: Declaration) -> None:
    """Inputs and outputs are exactly the declared ones, of the declared types.

    Raises:
        OutputMismatch: they are not.
    """
    inputs = {value.name: TYPES.get(value.type.tensor_type.elem_type, "other") for value in model.graph.input}
    if inputs != declaration.dtypes:
        raise OutputMismatch(f"inputs: declared {declaration.dtypes}, the graph has {inputs}")
    outputs = [value.name for value in model.graph.output]
    if outputs != list(declaration.outputs):
        raise OutputMismatch(f"outputs: declared {list(declaration.outputs)}, the graph has {outputs}")


def prove_axes(model: onnx.ModelProto, declaration: Declaration) -> None:
    """Exactly the declared axes vary.

    Raises:
        AxisMismatch: one is fixed that must vary, or varies that must not, or has another size.
    """
    values = [*model.graph.input, *model.graph.output]
    declared: list[Shape] = [*declaration.inputs.values(), *declaration.outputs.values()]
    for value, shape in zip(values, declared, strict=True):
        found = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        expected = [axis.name if isinstance(axis, Axis) else axis for axis in shape]
        same = len(found) == len(shape) and all(
            isinstance(one, str) if isinstance(axis, Axis) else one == axis
            for one, axis in zip(found, shape, strict=True)
        )
        if not same:
            raise AxisMismatch(f"{value.name}: declared {expected}, the graph has {found}")


def prove_values(path: Path, graph: Graph, feeds: list[dict[str, Array]], names: list[str]) -> float:
    """ONNX Runtime and torch give the same probabilities; returns the largest difference found.

    Args:
        path: the graph.
        graph: the model in torch.
        feeds: batches of inputs by name.
        names: of the outputs.

    Raises:
        ShapeMismatch: an output of another shape.
        ValueMismatch: a difference over `TOLERANCE`; lists every output.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = dict.fromkeys(names, 0.0)
    for feed in feeds:
        with torch.inference_mode():
            expected = [out.numpy() for out in graph(*(torch.from_numpy(feed[name]) for name in graph.names))]
        for name, one, other in zip(names, session.run(names, feed), expected, strict=True):
            if one.shape != other.shape:
                raise ShapeMismatch(f"{name}: torch gives {other.shape}, the graph {one.shape}")
            difference = float(np.abs(softmax(one) - softmax(other)).max())
            worst[name] = max(worst[name], difference if np.isfinite(difference) else np.inf)
    if max(worst.values()) > TOLERANCE:
        listed = ", ".join(f"{name} {value:.2g}" for name, value in worst.items())
        raise ValueMismatch(f"probabilities differ by more than {TOLERANCE}: {listed}")
    return max(worst.values())


def random_feed(modalities: Mapping[str, Modality], batch: int, generator: np.random.Generator) -> dict[str, Array]:
    """Arbitrary values of the right shape and type: not what preprocessing gives, but what a graph must stand."""
    feed: dict[str, Array] = {}
    for name, modality in modalities.items():
        shape = (batch, *(int(generator.integers(1, 12)) if size is None else size for size in modality.shape))
        if modality.dtype == "uint8":
            feed[name] = generator.integers(0, 256, shape, dtype=np.uint8)
        elif modality.dtype == "int64":
            feed[name] = generator.integers(1, getattr(modality, "vocabulary", 2), shape)
        else:
            feed[name] = generator.standard_normal(shape).astype(np.float32)
    return feed


def stacked(modalities: Mapping[str, Modality], samples: list[dict[str, bytes]]) -> dict[str, Array]:
    """Payloads, decoded and normalised, as one batch."""
    return {
        name: modality.stack([modality.normalise(modality.decode(sample[name])) for sample in samples])
        for name, modality in modalities.items()
    }
