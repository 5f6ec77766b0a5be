"""Torch as the peer: eager, torch.compile, and both as CUDA graphs, in 32 and 16 bits."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import training.model
from benchmarks.gpu.variant import Copies, Outputs
from benchmarks.timing import wait
from export.graph import Graph
from training.absence import coalition_members

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WARMUP = 3

_made = coalition_members
MEMBERS: dict[tuple[int, str], Tensor] = {}


def members(modalities: int, device: torch.device) -> Tensor:
    """The only constant that the classifier makes anew for each batch and copies to the device: here it is made once.

    A capture forbids the copy, and eager torch would have to wait for it.
    """
    found = MEMBERS.get((modalities, device.type))
    return _made(modalities, device) if found is None else found


def hold_members(modalities: int, device: str) -> None:
    """Let classifiers take the constant that is made here."""
    MEMBERS[modalities, device] = _made(modalities, torch.device(device))
    training.model.coalition_members = members  # type: ignore[attr-defined]


class InPrecision(nn.Module):
    """Converts floats; anything else passes."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, values: Tensor) -> Tensor:
        """To the type."""
        return values.to(self.dtype) if values.is_floating_point() else values


def in_precision(graph: Graph, precision: str) -> Graph:
    """A copy whose encoders compute in 16 bits, what is behind them in 32, as in a graph for ONNX Runtime.

    Convolutions of 16 bits get their weights in the order of memory that tensor cores want.
    """
    dtype, made = DTYPES[precision], copy.deepcopy(graph)
    if dtype == torch.float32:
        return made
    for encoder in made.model.encoders.values():
        found: Any = encoder
        if hasattr(found, "network"):
            found.network.to(dtype=dtype, memory_format=torch.channels_last)
        else:
            found.layers.to(dtype)
            found.layers.insert(0, InPrecision(dtype))
        if hasattr(found, "pixels"):
            found.pixels = nn.Sequential(found.pixels, InPrecision(dtype))
        encoder.register_forward_hook(lambda module, given, features: features.float())
    return made


def allow_tf32(allowed: bool) -> None:
    """Whether products and convolutions in 32 bits may round their factors to TF32."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


class Eager:
    """The module called as it is, or compiled.

    Args:
        graph: in 32 bits, on the host.
        precision: a key of `DTYPES`.
        device: `cuda` or `cpu`.
        compiled: whether by torch.compile, for each size of a batch by itself.
    """

    def __init__(self, graph: Graph, precision: str, device: str, compiled: bool = False) -> None:
        self.precision, self.device = precision, device
        self.module = in_precision(graph, precision).to(device).eval()
        hold_members(len(graph.model.encoders), device)
        self.call: Callable[..., Outputs] = self.module
        if compiled:
            self.call = torch.compile(self.module, dynamic=False)
        self.copies: Copies | None = None

    @torch.no_grad()
    def open(self, inputs: Outputs) -> None:
        """Copy the batch, and run it a few times."""
        allow_tf32(self.precision == "tf32")
        self.copies = Copies(inputs, self.device)
        for _ in range(WARMUP):
            self.call(*self.copies.inputs)
        wait()

    @torch.no_grad()
    def run(self) -> Outputs:
        """One forward pass."""
        assert self.copies is not None
        allow_tf32(self.precision == "tf32")
        return self.call(*self.copies.inputs)

    def run_with_copies(self) -> Outputs:
        """One forward pass, with the way there and back."""
        assert self.copies is not None
        self.copies.take()
        return self.copies.give(self.run())

    def close(self) -> None:
        """Free the batch."""
        self.copies = None


class Captured:
    """What an eager or compiled variant does, as one CUDA graph for each size of a batch.

    Args:
        inner: the variant, which may be measured by itself too.
    """

    def __init__(self, inner: Eager) -> None:
        self.inner, self.precision, self.device = inner, inner.precision, inner.device
        self.copies: Copies | None = None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.outputs: Outputs = ()

    @torch.no_grad()
    def open(self, inputs: Outputs) -> None:
        """Copy the batch and capture."""
        allow_tf32(self.precision == "tf32")
        self.copies = Copies(inputs, self.device)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUP):
                self.inner.call(*self.copies.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self.inner.call(*self.copies.inputs)
        self.run()
        wait()

    def run(self) -> Outputs:
        """Replay."""
        assert self.graph is not None
        self.graph.replay()
        return self.outputs

    def run_with_copies(self) -> Outputs:
        """Replay, with the way there and back."""
        assert self.copies is not None
        self.copies.take()
        return self.copies.give(self.run())

    def close(self) -> None:
        """Free the graph and what it holds."""
        self.graph = self.copies = None
        self.outputs = ()


def eager(graph: Graph, device: str) -> dict[str, Any]:
    """Variants by title: eager in every precision."""
    chosen = [precision for precision in DTYPES if device == "cuda" or precision != "tf32"]
    return {f"torch eager {precision}": Eager(graph, precision, device) for precision in chosen}


def captured(graph: Graph, device: str) -> dict[str, Any]:
    """Variants by title: eager as CUDA graphs."""
    chosen = ("fp32", "fp16", "bf16") if device == "cuda" else ()
    return {f"torch CUDA graph {precision}": Captured(Eager(graph, precision, device)) for precision in chosen}


def compiled(graph: Graph, device: str, precision: str) -> dict[str, Any]:
    """Variants by title: compiled and, on a GPU, compiled and captured."""
    inner = Eager(graph, precision, device, compiled=True)
    found: dict[str, Any] = {f"torch.compile {precision}": inner}
    if device == "cuda":
        found[f"torch.compile + CUDA graph {precision}"] = Captured(inner)
    return found
