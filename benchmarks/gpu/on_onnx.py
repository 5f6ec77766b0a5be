"""ONNX Runtime on a GPU: the exported graph as it is and made for GPUs, its inputs and outputs bound to the device."""

from typing import Any

import numpy as np
import onnx
import torch

from benchmarks.gpu.attention import Fused
from benchmarks.gpu.half import half
from benchmarks.gpu.pairings import Pairing
from benchmarks.gpu.variant import Copies, Outputs, wait
from bundle.runtime import onnxruntime
from export.graph import Axis

WARMUP = 3
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class Bound:
    """A session whose inputs and outputs are tensors on the device.

    Args:
        content: the graph.
        pairing: whose graph it is.
        device: `cuda` or `cpu`.
        options: of ONNX Runtime's CUDA provider, over the defaults here: no TF32.
    """

    def __init__(self, content: bytes, pairing: Pairing, device: str, options: dict[str, str]) -> None:
        self.content, self.declaration, self.device = content, pairing.declaration, device
        self.options = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"} | options
        self.precision = "tf32" if self.options["use_tf32"] == "1" else "fp32"
        if b"_fp16" in content:
            self.precision = "fp16"
        self.captures = self.options.get("enable_cuda_graph") == "1"
        self.sessions: dict[int, Any] = {}
        self.copies: Copies | None = None

    def session(self, batch: int) -> Any:
        """Of any size of a batch; of this one alone where it is captured, every size in the graph then being fixed."""
        key = batch if self.captures else 0
        if key not in self.sessions:
            chosen = onnxruntime.SessionOptions()
            chosen.log_severity_level = 3
            if self.captures:
                for shape in self.declaration.inputs.values():
                    for axis in shape:
                        if isinstance(axis, Axis):
                            chosen.add_free_dimension_override_by_name(axis.name, axis.longest or batch)
            provider = PROVIDERS[self.device]
            given = [(provider, self.options)] if self.device == "cuda" else [provider]
            made = onnxruntime.InferenceSession(self.content, chosen, providers=given)
            if made.get_providers()[0] != provider:
                raise RuntimeError(f"ONNX Runtime runs the graph on {made.get_providers()[0]} instead of {provider}")
            self.sessions[key] = made
        return self.sessions[key]

    def open(self, inputs: Outputs) -> None:
        """Copy the batch, bind it and its outputs, and run it a few times."""
        batch = len(inputs[0])
        session = self.session(batch)
        self.copies, self.running = Copies(inputs, self.device), session
        self.outputs = tuple(
            torch.full([batch if isinstance(size, Axis) else size for size in shape], torch.nan, device=self.device)
            for shape in self.declaration.outputs.values()
        )
        self.binding = session.io_binding()
        for name, values in zip(self.declaration.inputs, self.copies.inputs, strict=True):
            kind = np.dtype(self.declaration.dtypes[name])
            self.binding.bind_input(name, self.device, 0, kind, list(values.shape), values.data_ptr())
        for name, values in zip(self.declaration.outputs, self.outputs, strict=True):
            self.binding.bind_output(name, self.device, 0, np.float32, list(values.shape), values.data_ptr())
        wait(self.device)
        for _ in range(WARMUP):
            self.run()

    def run(self) -> Outputs:
        """One run, which ONNX Runtime waits for."""
        self.running.run_with_iobinding(self.binding)
        return self.outputs

    def run_with_copies(self) -> Outputs:
        """One run, with the way there and back; ONNX Runtime has a stream of its own, so the inputs are waited for."""
        assert self.copies is not None
        self.copies.take()
        wait(self.device)
        return self.copies.give(self.run())

    def close(self) -> None:
        """Free the batch."""
        self.copies, self.binding, self.running = None, None, None
        self.outputs: Outputs = ()


def in_32_bits(model: onnx.ModelProto, pairing: Pairing, device: str) -> dict[str, Any]:
    """Variants by title: the exported graph, without and with TF32, and what fusions and capture make of it."""
    plain = model.SerializeToString()
    if device == "cpu":
        return {"ORT fp32": Bound(plain, pairing, device, {})}
    found = {"ORT fp32": Bound(plain, pairing, device, {}), "ORT tf32": Bound(plain, pairing, device, {"use_tf32": "1"})}
    split = Fused(model).split().SerializeToString()
    return found | {"ORT fused + CUDA graph fp32": Bound(split, pairing, device, {"enable_cuda_graph": "1"})}


def in_16_bits(model: onnx.ModelProto, pairing: Pairing, device: str) -> dict[str, Any]:
    """Variants by title: the exported graph in fp16, and what fusions, order of memory and capture make of it."""
    fused = Fused(model)
    attends = bool(fused.attentions)
    plain, packed, split = (
        half(one, pairing.modalities).SerializeToString() for one in (model, fused.model, fused.split())
    )
    found = {"ORT fp16": Bound(plain, pairing, device, {})}
    better = "fused" if attends else "NHWC"
    order = {} if attends else {"prefer_nhwc": "1"}
    if attends:
        found["ORT packed attention fp16"] = Bound(packed, pairing, device, {})
    found[f"ORT {better} fp16"] = Bound(split, pairing, device, order)
    if device == "cuda":
        graph = {"enable_cuda_graph": "1"} | order
        found[f"ORT {better} + CUDA graph fp16"] = Bound(split, pairing, device, graph)
    return found
