"""What TensorRT needs for a bundle: the shapes that its engine is built for, options, and the folder that keeps it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.answer import PRESENT
from bundle.execution import Gpu, Precision
from bundle.modalities import Modality, Text
from bundle.plan import Range

USUAL_BATCH = 8
"""Samples of a batch that an engine is made fastest for, where it may be that large."""


@dataclass(frozen=True)
class Place:
    """What an engine is good for and nothing else."""

    graph: str
    """SHA-256 of the graph's file."""
    version: str
    """Of TensorRT."""
    capability: str
    """Of the card, such as 9.0."""


def ranges(
    modalities: Mapping[str, Modality], most: int, usual: int = USUAL_BATCH, tokens: int | None = None
) -> dict[str, Range]:
    """For each input of the graph, from one sample to the most, and texts from one token to the longest.

    Args:
        modalities: by name of the input.
        most: samples of a batch.
        usual: samples of the batch that an engine is made fastest for, where it may be that large.
        tokens: length of the texts that it is made fastest for; None for the longest.
    """
    batches = (1, min(usual, most), most)
    sizes = {name: _sizes(modality, tokens) for name, modality in modalities.items()}
    sizes[PRESENT] = [(len(modalities),) * 3]
    return {
        name: Range(*((batch, *(axis[place] for axis in axes)) for place, batch in enumerate(batches)))
        for name, axes in sizes.items()
    }


def _sizes(modality: Modality, tokens: int | None) -> list[tuple[int, int, int]]:
    """Least, usual and most of each axis of one sample."""
    longest = modality.max_length if isinstance(modality, Text) else 0
    assert longest or None not in modality.shape, f"{modality.name} has an axis that varies: say here how far"
    usual = longest if tokens is None else tokens
    return [(1, usual, longest) if size is None else (size, size, size) for size in modality.shape]


def tensorrt_options(place: Place, shapes: Mapping[str, Range], graph: Precision, gpu: Gpu) -> dict[str, str]:
    """Of the TensorRT provider. What is kept is kept under a hash of everything that an engine depends on.

    Args:
        place: graph, TensorRT and card.
        shapes: of the inputs.
        graph: its precision.
        gpu: how it is used.
    """
    half = graph == "fp16" or (graph == "fp32" and gpu.tensorrt_fp16)
    choices = {
        "trt_fp16_enable": str(int(half)),
        "trt_bf16_enable": str(int(graph == "bf16")),
        "trt_int8_enable": str(int(graph == "int8")),
        "trt_layer_norm_fp32_fallback": str(int(half)),
        **{
            f"trt_profile_{end}_shapes": ",".join(
                f"{name}:{'x'.join(map(str, getattr(shape, kind)))}" for name, shape in shapes.items()
            )
            for end, kind in (("min", "least"), ("opt", "usual"), ("max", "most"))
        },
    }
    folder = str(folder_of(place, choices, gpu))
    return {
        "device_id": str(gpu.device),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        **choices,
    }


def folder_of(place: Place, choices: Mapping[str, str], gpu: Gpu) -> Path:
    """Where an engine is kept: another graph, TensorRT, card, precision, arithmetic or shape is another folder."""
    facts = {**vars(place), **choices, "tf32": gpu.tf32}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return gpu.engines.expanduser().absolute() / key
