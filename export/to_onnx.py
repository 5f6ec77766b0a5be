"""A classifier to one ONNX graph."""

import logging
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor

from export.errors import ExportError, first_line
from export.graph import Axis, Declaration, Graph

OPSET = 20
LARGEST = 1_800_000_000
"""Bytes of weights up to which one file can hold the graph (protobuf's limit is 2 GiB)."""


def to_onnx(graph: Graph, declaration: Declaration, examples: tuple[Tensor, ...]) -> onnx.ModelProto:
    """Trace in float32 evaluation mode; the graph is checked, and the same each time.

    Args:
        graph: the classifier.
        declaration: names and axes.
        examples: one tensor for each input, with a batch of at least 2.

    Raises:
        ExportError: the exporter or ONNX's checker refuses, or the weights are over what one file holds.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    if size > LARGEST:
        raise ExportError(f"weights of {size / 1e9:.1f} GB do not fit one file, at most {LARGEST / 1e9:.1f} GB do")
    axes: dict[str, Any] = {}
    shapes = tuple(
        {
            position: axes.setdefault(axis.name, torch.export.Dim(axis.name, min=1, max=axis.longest))
            for position, axis in enumerate(shape)
            if isinstance(axis, Axis)
        }
        for shape in declaration.inputs.values()
    )
    for name in ("torch.onnx", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its own internals
            program = torch.onnx.export(
                graph.eval().float(),
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(declaration.inputs),
                output_names=list(declaration.outputs),
                dynamic_shapes=(shapes,),
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        strip(model)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the exporter raises many types
        raise ExportError(f"the model cannot be exported: {first_line(error)}") from error
    return model


def strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: for each node the source lines it came from, with paths of the maker's machine."""
    graph = model.graph
    for entry in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        del entry.metadata_props[:]
        entry.doc_string = ""
