"""ONNX Runtime on a GPU: the exported graph as it is and made for GPUs, its inputs and outputs bound to the device."""

from typing import Any

import numpy as np
import onnx
import torch

from benchmarks.gpu.attention import Split
from benchmarks.gpu.pairings import Pairing
from benchmarks.gpu.variant import Copies, Outputs
from benchmarks.timing import wait
from bundle.execution import Gpu, cuda_options
from bundle.runtime import onnxruntime
from export.fusing import Fused
from export.graph import Axis
from export.half import Half, to_half

WARMUP = 3
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class Bound:
    """A session whose inputs and outputs are tensors on the device.

    Args:
        content: the graph.
        pairing: whose graph it is.
        device: `cuda` or `cpu`.
        options: of ONNX Runtime's CUDA provider, over those of a service, which has no TF32.
        precision: what it computes in.
    """

    def __init__(self, content: bytes, pairing: Pairing, device: str, options: dict[str, str], precision: str) -> None:
        self.content, self.declaration, self.device = content, pairing.declaration, device
        self.precision = precision
        self.options = cuda_options(Gpu(growth="exact")) | options
        self.captures = self.options.get("enable_cuda_graph") == "1"
        self.sessions: dict[int, Any] = {}
        self.copies: Copies | None = None
        self.outputs: Outputs = ()

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
        wait()
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
        wait()
        return self.copies.give(self.run())

    def close(self) -> None:
        """Free the batch."""
        self.copies, self.binding, self.running = None, None, None
        self.outputs = ()


class Refused:
    """A variant that could not be made."""

    def __init__(self, precision: str, reason: Exception) -> None:
        self.precision, self.reason = precision, reason
        self.copies: Copies | None = None

    def open(self, inputs: Outputs) -> None:
        """Tell why."""
        raise self.reason


def in_32_bits(model: onnx.ModelProto, pairing: Pairing, device: str) -> dict[str, Any]:
    """Variants by title: the exported graph, without and with TF32."""
    plain = model.SerializeToString()
    found = {"ORT fp32": Bound(plain, pairing, device, {}, "fp32")}
    if device == "cuda":
        found["ORT tf32"] = Bound(plain, pairing, device, {"use_tf32": "1"}, "tf32")
    return found


def in_16_bits(model: onnx.ModelProto, pairing: Pairing, device: str) -> dict[str, Any]:
    """Variants by title: as exports in 16 bits are, and what projections apart and order of memory make of fp16."""
    fused = Fused(model)
    kinds: tuple[Half, ...] = ("fp16", "bf16") if device == "cuda" else ("fp16",)
    found = {f"ORT {kind}": _halved(model, pairing, device, kind, {}) for kind in kinds}
    if fused.attentions:
        found |= {f"ORT packed attention {kind}": _halved(fused.model, pairing, device, kind, {}) for kind in kinds}
    title, options = _best(fused)
    return found | {f"ORT {title} fp16": _halved(Split(fused).model, pairing, device, "fp16", options)}


def captured(model: onnx.ModelProto, pairing: Pairing, device: str) -> dict[str, Any]:
    """Variants by title: what fusions make of the graph, as CUDA graphs."""
    if device != "cuda":
        return {}
    fused = Fused(model)
    split = Split(fused).model
    title, options = _best(fused)
    given = {"enable_cuda_graph": "1"}
    return {
        "ORT fused + CUDA graph fp32": Bound(split.SerializeToString(), pairing, device, given, "fp32"),
        f"ORT {title} + CUDA graph fp16": _halved(split, pairing, device, "fp16", given | options),
    }


def _best(fused: Fused) -> tuple[str, dict[str, str]]:
    """Of a graph in 16 bits: what is best done with it, and the provider's options for that."""
    return ("fused", {}) if fused.attentions else ("NHWC", {"prefer_nhwc": "1"})


def _halved(model: onnx.ModelProto, pairing: Pairing, device: str, kind: Half, options: dict[str, str]) -> Any:
    """As `python -m export --precision` makes it, with or without `--fused`."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    try:
        to_half(made, list(pairing.modalities), kind)
    except Exception as error:  # told as this variant's failure: the others are measured
        return Refused(kind, error)
    return Bound(made.SerializeToString(), pairing, device, options, kind)
