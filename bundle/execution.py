"""Where a graph runs and how: names of targets to ONNX Runtime's providers with their options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bundle.errors import ExecutionUnavailable

Target = Literal["cpu", "cuda", "tensorrt"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
"""Of a graph: what its towers compute in; everything behind them stays in 32 bits."""

PROVIDERS: Mapping[Target, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's names, by ours."""
LOOSER = {"tf32": 0.005, "fp16": 0.02}
"""Largest difference of a probability in a replay of golden samples where the operator, not the bundle, chose a
coarser arithmetic than the graph's. TF32 keeps ten bits of the factors of a product, as fp16 does."""
ENGINES = Path("~/.cache/infobridge/engines")
LARGEST_BATCH = 64


@dataclass(frozen=True)
class Gpu:
    """How a GPU is used."""

    device: int = 0
    """Its number, from 0."""
    tf32: bool = False
    """Whether products in 32 bits may round their factors to TF32, which is faster and changes answers: ONNX Runtime
    would do so by default."""
    convolutions: Literal["heuristic", "exhaustive", "default"] = "heuristic"
    """How cuDNN chooses an algorithm. `exhaustive` tries all of them whenever a shape is new, which takes seconds for
    each size of a batch; `heuristic` asks cuDNN's own estimate."""
    memory: int | None = None
    """Most bytes that each bundle may take on the GPU; None for no limit."""
    growth: Literal["doubled", "exact"] = "doubled"
    """How the memory taken grows: `exact` takes what is needed, which leaves more to others and asks more often."""
    tensorrt_fp16: bool = False
    """Whether TensorRT may compute a graph of 32 bits in 16."""
    engines: Path = ENGINES
    """Folder in which TensorRT's engines and timings are kept; nobody else should be able to write there."""
    largest_batch: int = LARGEST_BATCH
    """Most samples that TensorRT's engines are built for; more are run one part after the other."""

    def __post_init__(self) -> None:
        for what, number, least in (
            ("device", self.device, 0),
            ("memory", self.memory, 1),
            ("largest_batch", self.largest_batch, 1),
        ):
            if number is not None and number < least:
                raise ExecutionUnavailable(f"{what}: expected {least} or more, found {number}")


@dataclass(frozen=True)
class Execution:
    """What a graph may run on.

    Raises:
        ExecutionUnavailable: no target, an unknown one, or none that is a GPU where one is required.
    """

    targets: tuple[Target, ...] = ("cpu",)
    """Best first: the first that works is taken. One that does not work is never quietly replaced by one that is not
    listed."""
    require_gpu: bool = False
    """Whether to refuse rather than run on the CPU, also where it is listed."""
    threads: int | None = None
    """Threads for one inference on the CPU; None lets ONNX Runtime use every core."""
    gpu: Gpu = field(default_factory=Gpu)

    def __post_init__(self) -> None:
        unknown = [target for target in self.targets if target not in PROVIDERS]
        if unknown or not self.targets:
            found = ", ".join(unknown) or "none"
            raise ExecutionUnavailable(f"providers: expected some of {', '.join(PROVIDERS)}, found {found}")
        if self.require_gpu and not self.tried:
            raise ExecutionUnavailable(
                "a GPU is required, and none is asked for: expected cuda or tensorrt among the providers, found "
                f"{', '.join(self.targets)}"
            )

    @property
    def tried(self) -> tuple[Target, ...]:
        """The targets that may be used."""
        return tuple(target for target in self.targets if not (self.require_gpu and target == "cpu"))


def precision(graph: Precision, target: Target, gpu: Gpu) -> str:
    """What is computed in: that of the graph, unless the operator chose a coarser one."""
    if graph == "fp32" and target == "tensorrt" and gpu.tensorrt_fp16:
        return "fp16"
    return "tf32" if graph == "fp32" and target != "cpu" and gpu.tf32 else graph


def cuda_options(gpu: Gpu) -> dict[str, str]:
    """Of the CUDA provider."""
    options = {
        "device_id": str(gpu.device),
        "use_tf32": str(int(gpu.tf32)),
        "cudnn_conv_algo_search": gpu.convolutions.upper(),
        "arena_extend_strategy": "kSameAsRequested" if gpu.growth == "exact" else "kNextPowerOfTwo",
    }
    return options if gpu.memory is None else {**options, "gpu_mem_limit": str(gpu.memory)}
