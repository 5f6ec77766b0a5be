"""TensorRT on a card that is none: the builder is TensorRT-RTX's own, and what runs its engines is ONNX Runtime.

It stands where no GPU is. The memory of the card is that of torch on the CPU, and engines read and write it by address,
so that shapes, types, names and addresses must be right here too; what a card computes is proved on one.
"""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bundle.runtime import onnxruntime
from export import tensorrt_run
from export.tensorrt_library import Library

TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


class Card:
    """Keeps the graph that was built last, and what its engine adds to the logits."""

    def __init__(self) -> None:
        self.graph = b""
        self.error = 0.0
        self.loads, self.runs = True, True
        self.batches: list[int] = []


class Context:
    """As much of an execution context as is used."""

    def __init__(self, card: Card, session: Any) -> None:
        self._card, self._session = card, session
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        return shape[0] <= 32

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        [node] = [node for node in self._session.get_outputs() if node.name == name]
        batch = next(iter(self._shapes.values()))[0]
        return tuple(size if isinstance(size, int) else batch for size in node.shape)

    def execute_async_v3(self, stream: int) -> bool:
        feed = {
            node.name: self._array(node.name, self._shapes[node.name], TYPES[node.type])
            for node in self._session.get_inputs()
        }
        self._card.batches.append(len(feed["present"]))
        for node, values in zip(self._session.get_outputs(), self._session.run(None, feed), strict=True):
            self._array(node.name, values.shape, np.float32)[...] = values
            if node.name == "logits":
                self._array(node.name, values.shape, np.float32)[:, 0] += self._card.error
        return self._card.runs

    def _array(self, name: str, shape: tuple[int, ...], kind: Any) -> Any:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        memory = (ctypes.c_char * size).from_address(self._addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)


class Engine:
    """As much of an engine as is used."""

    def __init__(self, card: Card) -> None:
        self._card = card
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(card.graph, options, providers=["CPUExecutionProvider"])
        self._inputs: list[str] = [node.name for node in self._session.get_inputs()]
        self._names: list[str] = [*self._inputs, *(node.name for node in self._session.get_outputs())]
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, number: int) -> str:
        return self._names[number]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in self._inputs else "out"

    def create_execution_context(self) -> Context:
        return Context(self._card, self._session)


def fake_tensorrt(rtx: Library, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Card]:
    """A module as `import tensorrt` gives it, and the card that its engines run on."""
    card = Card()
    real = rtx.module

    class Parser:
        def __init__(self, network: Any, logger: Any) -> None:
            self._parser = real.OnnxParser(network, logger)

        def parse(self, graph: bytes) -> bool:
            card.graph = graph
            return bool(self._parser.parse(graph))

    names = ("Builder", "BuilderFlag", "ILogger", "NetworkDefinitionCreationFlag")
    module = SimpleNamespace(
        __version__="10.16.1.11",
        OnnxParser=Parser,
        Runtime=lambda logger: SimpleNamespace(
            deserialize_cuda_engine=lambda content: Engine(card) if card.loads else None
        ),
        TensorIOMode=SimpleNamespace(INPUT="in"),
        **{name: getattr(real, name) for name in names},
    )
    monkeypatch.setattr(tensorrt_run, "has_card", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card that is none")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    return module, card
