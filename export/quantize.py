"""A graph to one that computes its towers in eight bits: for a CPU (`--quantize int8`), or for TensorRT."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from bundle.runtime import onnxruntime
from export.errors import ExportError, first_line
from export.feeds import Feed
from export.rows import drop_unused, quantize_rows
from export.to_onnx import strip
from export.towers import Tower, Way, find_tower, name_nodes, weights

STATIC = ("Conv", "Relu", "Clip", "MaxPool", "Add", "Gemm", "MatMul")
"""Operators that a tower of convolutions computes in integers; whatever lies between two of them stays there."""
SYMMETRIC = ("Conv", "Gemm", "MatMul")
"""Operators of which TensorRT takes both factors in eight bits; what lies between them it joins to them as it likes."""
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""What ONNX Runtime would otherwise advise on every call: constants are folded already."""


def quantize(model: onnx.ModelProto, modalities: Sequence[str], feeds: Sequence[Feed]) -> dict[str, Way]:
    """Quantise every tower, in the way that suits a CPU, and nothing else; returns the ways by modality.

    `static`: bytes between the layers of convolutions (QDQ; unsigned activations, signed weights, a scale for each
    channel), with ranges as the feeds show them. `dynamic`: see `export.rows`. Distances from the training data, what
    stands for absent modalities and the heads stay in 32 bits.

    Args:
        model: changed in place.
        modalities: names of the inputs.
        feeds: batches of training samples.

    Raises:
        ExportError: no tower has weights to quantise, or ONNX Runtime cannot quantise the graph.
    """
    towers = _towers(model, modalities)
    convolutional = [tower for tower in towers if tower.way == "static"]
    if convolutional:
        quantization = _quantization()
        settings = {
            "op_types_to_quantize": list(STATIC),
            "reduce_range": True,  # as `export.rows` says of its weights
            "activation_type": quantization.QuantType.QUInt8,
        }
        _quantize_static(model, _names(convolutional), feeds, settings)
    for tower in towers:
        if tower.way == "dynamic":
            quantize_rows(model, tower)
    _finish(model)
    return {tower.modality: tower.way for tower in towers if tower.way is not None}


def quantize_symmetric(model: onnx.ModelProto, modalities: Sequence[str], feeds: Sequence[Feed]) -> dict[str, Way]:
    """Quantise every tower as TensorRT takes it; the arguments, what is returned and raised are those of `quantize`.

    Both factors of convolutions and of products with a constant matrix have eight bits around 0 (QDQ), with fixed
    ranges as the feeds show them, and a scale for each channel of the weights; products of two activations, as
    attention has, stay in 32. TensorRT refuses zero points other than 0, and so the graph of `quantize`.
    """
    towers = [tower for tower in _towers(model, modalities) if tower.way is not None]
    settings = {
        "op_types_to_quantize": list(SYMMETRIC),
        "activation_type": _quantization().QuantType.QInt8,
        "extra_options": {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "DedicatedQDQPair": True,
            "OpTypesToExcludeOutputQuantization": list(SYMMETRIC),
        },
    }
    known = weights(model.graph)
    constant = {node.name for node in model.graph.node if node.op_type in SYMMETRIC and node.input[1] in known}
    _quantize_static(model, [name for name in _names(towers) if name in constant], feeds, settings)
    _finish(model)
    return {tower.modality: "static" for tower in towers}


def _names(towers: Sequence[Tower]) -> list[str]:
    return [name for tower in towers for name in tower.nodes]


def _towers(model: onnx.ModelProto, modalities: Sequence[str]) -> list[Tower]:
    del model.graph.value_info[:]  # sizes that were noted for batches of one shape
    name_nodes(model)
    towers = [find_tower(model, name) for name in modalities]
    if all(tower.way is None for tower in towers):
        raise ExportError(f"no tower of {', '.join(modalities)} has convolutions or matrix products to quantise")
    return towers


def _finish(model: onnx.ModelProto) -> None:
    drop_unused(model)
    strip(model)
    del model.graph.value_info[:], model.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)


def _quantization() -> Any:
    return import_module(f"{onnxruntime.__name__}.quantization")


def _quantize_static(
    model: onnx.ModelProto, nodes: list[str], feeds: Sequence[Feed], settings: Mapping[str, Any]
) -> None:
    quantization = _quantization()
    model.metadata_props.add(key=PREPARED[0], value=PREPARED[1])
    with TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantized.onnx"
        try:
            quantization.quantize_static(
                model,
                path,
                _Feeds(feeds),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_quantize=nodes,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                **settings,
            )
            model.CopyFrom(onnx.load(path))
        except Exception as error:  # ONNX Runtime raises many types
            raise ExportError(f"the graph cannot be quantised: {first_line(error)}") from error


class _Feeds:
    """Batches as ONNX Runtime's calibration asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._left = iter(feeds)

    def __iter__(self) -> Iterator[Feed]:
        return self._left

    def get_next(self) -> Feed | None:
        return next(self._left, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """What ONNX Runtime's calibration says of itself is not for people."""
    before: Any = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
