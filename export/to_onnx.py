"""A classifier to one ONNX graph."""

import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from export.errors import ExportError
from export.graph import Axis, Declaration, Graph

OPSET = 20
LARGEST = 1_800_000_000
"""Bytes of weights up to which one file can hold the graph (protobuf's limit is 2 GiB)."""


def to_onnx(graph: Graph, declaration: Declaration, examples: tuple[Tensor, ...], path: Path) -> None:
    """Trace in float32 evaluation mode and write a checked graph with dynamic axes.

    Args:
        graph: the classifier.
        declaration: names and axes.
        examples: one tensor for each input, with a batch of at least 2.
        path: of the .onnx file.

    Raises:
        ExportError: the exporter or ONNX's checker refuses, or the weights are over what one file holds.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    if size > LARGEST:
        raise ExportError(f"weights of {size / 1e9:.1f} GB do not fit one file, at most {LARGEST / 1e9:.1f} GB do")
    axes: dict[str, Any] = {}
    shapes = tuple(
        {
            position: axes.setdefault(axis.name, torch.export.Dim(axis.name, min=1))
            for position, axis in enumerate(shape)
            if isinstance(axis, Axis)
        }
        for shape in declaration.inputs.values()
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its own internals
            torch.onnx.export(
                graph.eval().float(),
                examples,
                path,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(declaration.inputs),
                output_names=list(declaration.outputs),
                dynamic_shapes=(shapes,),
                external_data=False,
                verbose=False,
            )
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the exporter raises many types
        raise ExportError(f"the model cannot be exported: {str(error).strip().splitlines()[0]}") from error
