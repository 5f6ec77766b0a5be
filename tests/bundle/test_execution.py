"""Where a graph may run: names of targets to options of ONNX Runtime's providers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundle.engines import Place, ranges, tensorrt_options
from bundle.errors import ExecutionUnavailable
from bundle.execution import Execution, Gpu, Precision, Target, cuda_options, precision
from bundle.plan import Range
from tests.bundles import tiny_modality

PLACE = Place("ab" * 32, "10.13.3", "9.0")
SHAPES = {"image": Range((1, 3, 16, 16), (8, 3, 16, 16), (64, 3, 16, 16))}


def test_the_cuda_provider_gets_every_choice_and_no_tf32_unasked() -> None:
    assert cuda_options(Gpu()) == {
        "device_id": "0",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kNextPowerOfTwo",
    }
    assert cuda_options(Gpu(2, True, "exhaustive", 10**9, "exact")) == {
        "device_id": "2",
        "use_tf32": "1",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": "1000000000",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": -1}, "device: expected 0 or more, found -1"),
        ({"memory": 0}, "memory: expected 1 or more, found 0"),
        ({"largest_batch": 0}, "largest_batch: expected 1 or more, found 0"),
    ],
)
def test_numbers_that_are_none_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ExecutionUnavailable, match=message):
        Gpu(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("targets", [(), ("cpu", "gpu")])
def test_unknown_targets_are_refused(targets: tuple[Any, ...]) -> None:
    with pytest.raises(ExecutionUnavailable, match=r"expected some of cpu, cuda, tensorrt, found (none|gpu)"):
        Execution(targets)


def test_a_required_gpu_takes_the_cpu_out() -> None:
    assert Execution(("cuda", "cpu"), require_gpu=True).tried == ("cuda",)
    with pytest.raises(ExecutionUnavailable, match="expected cuda or tensorrt among the providers, found cpu"):
        Execution(require_gpu=True)


@pytest.mark.parametrize(
    ("graph", "target", "gpu", "found"),
    [
        ("fp32", "cpu", Gpu(tf32=True, tensorrt_fp16=True), "fp32"),
        ("fp32", "cuda", Gpu(), "fp32"),
        ("fp32", "cuda", Gpu(tf32=True, tensorrt_fp16=True), "tf32"),
        ("fp32", "tensorrt", Gpu(tf32=True), "tf32"),
        ("fp32", "tensorrt", Gpu(tf32=True, tensorrt_fp16=True), "fp16"),
        ("int8", "tensorrt", Gpu(tf32=True, tensorrt_fp16=True), "int8"),
        ("fp16", "cuda", Gpu(tf32=True), "fp16"),
    ],
)
def test_the_precision_told_is_that_of_the_run(graph: Precision, target: Target, gpu: Gpu, found: str) -> None:
    assert precision(graph, target, gpu) == found


def test_engines_are_built_for_every_batch_and_text_that_may_come() -> None:
    modalities = {name: tiny_modality(name) for name in ("image", "text", "genomics")}
    assert ranges(modalities, 64) == {
        "image": Range((1, 3, 16, 16), (8, 3, 16, 16), (64, 3, 16, 16)),
        "text": Range((1, 1), (8, 12), (64, 12)),
        "genomics": Range((1, 4), (8, 4), (64, 4)),
        "present": Range((1, 3), (8, 3), (64, 3)),
    }
    assert ranges(modalities, 2)["text"] == Range((1, 1), (2, 12), (2, 12))


def test_the_tensorrt_provider_gets_shapes_arithmetic_and_a_folder_to_keep_engines_in(tmp_path: Path) -> None:
    gpu = Gpu(device=1, engines=tmp_path)
    found = tensorrt_options(PLACE, SHAPES | {"text": Range((1, 1), (8, 12), (64, 12))}, "fp32", gpu)
    folder = Path(found["trt_engine_cache_path"])
    assert folder.parent == tmp_path and found["trt_timing_cache_path"] == str(folder)
    assert found["device_id"] == "1"
    assert found["trt_engine_cache_enable"] == found["trt_timing_cache_enable"] == "1"
    assert found["trt_profile_min_shapes"] == "image:1x3x16x16,text:1x1"
    assert found["trt_profile_opt_shapes"] == "image:8x3x16x16,text:8x12"
    assert found["trt_profile_max_shapes"] == "image:64x3x16x16,text:64x12"


@pytest.mark.parametrize(
    ("graph", "half", "on"),
    [
        ("fp32", False, set()),
        ("fp32", True, {"fp16", "layer_norm_fp32_fallback"}),
        ("fp16", False, {"fp16", "layer_norm_fp32_fallback"}),
        ("bf16", True, {"bf16"}),
        ("int8", True, {"int8"}),
    ],
)
def test_tensorrt_may_compute_as_the_graph_or_the_operator_says(graph: Precision, half: bool, on: set[str]) -> None:
    found = tensorrt_options(PLACE, SHAPES, graph, Gpu(tensorrt_fp16=half))
    names = {"fp16": "fp16_enable", "bf16": "bf16_enable", "int8": "int8_enable"}
    for name in ("fp16", "bf16", "int8", "layer_norm_fp32_fallback"):
        assert found[f"trt_{names.get(name, name)}"] == str(int(name in on)), name


def test_an_engine_for_anything_else_lies_elsewhere(tmp_path: Path) -> None:
    other = {"image": Range((1, 3, 16, 16), (8, 3, 16, 16), (32, 3, 16, 16))}
    gpu = Gpu(engines=tmp_path)
    cases: list[tuple[Place, dict[str, Range], Precision, Gpu]] = [
        (PLACE, SHAPES, "fp32", gpu),
        (replace(PLACE, graph="cd" * 32), SHAPES, "fp32", gpu),
        (replace(PLACE, version="10.14.0"), SHAPES, "fp32", gpu),
        (replace(PLACE, capability="8.0"), SHAPES, "fp32", gpu),
        (PLACE, other, "fp32", gpu),
        (PLACE, SHAPES, "fp16", gpu),
        (PLACE, SHAPES, "fp32", replace(gpu, tf32=True)),
    ]
    found = [tensorrt_options(*case)["trt_engine_cache_path"] for case in cases]
    assert len(set(found)) == len(found)
    assert tensorrt_options(PLACE, SHAPES, "fp32", replace(gpu, device=1))["trt_engine_cache_path"] == found[0]
