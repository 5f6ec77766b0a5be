"""An engine on the GPU: batches of arrays in, outputs by name out, with torch for the memory of the card."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.tensorrt_build import messages
from export.tensorrt_library import Library

Arrays = dict[str, NDArray[Any]]
NO_GPU = "running an engine needs a GPU that torch can use, found none: install a build of torch for CUDA"


class Execution:
    """An engine that is loaded; not safe to call from several threads.

    Args:
        library: that built it.
        engine: as it was serialized.

    Raises:
        ExportError: there is no GPU, or the engine does not load on it.
    """

    def __init__(self, library: Library, engine: bytes) -> None:
        self._torch = _torch_with_card()
        self._trt, self._kind = library.module, library.kind
        self._logger = messages(self._trt)
        self._runtime = self._trt.Runtime(self._logger)  # must live as long as what it made
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        context = None if self._engine is None else self._engine.create_execution_context()
        if context is None:
            raise ExportError(f"{library.kind} {library.version} does not load the engine: {self._logger.told()}")
        self._context = context
        names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        entering = self._trt.TensorIOMode.INPUT
        self.inputs = [name for name in names if self._engine.get_tensor_mode(name) == entering]
        self.outputs = [name for name in names if name not in self.inputs]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs by name, in 32 bits.

        Raises:
            ExportError: shapes outside of the engine's ranges, or a failure on the card.
        """
        found = self.launch(self.upload(feed))
        self._torch.cuda.synchronize()
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}

    def upload(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """The inputs as tensors on the card."""
        return {name: self._torch.from_numpy(np.ascontiguousarray(feed[name])).cuda() for name in self.inputs}

    def launch(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs for inputs that are on the card; they are there when torch's stream has come so far.

        Raises:
            ExportError: as `run`.
        """
        for name in self.inputs:
            shape = tuple(given[name].shape)
            if not self._context.set_input_shape(name, shape):
                raise ExportError(f"the engine does not take {name} of shape {shape}: {self._logger.told()}")
            self._context.set_tensor_address(name, given[name].data_ptr())
        found: dict[str, Any] = {}
        device = given[self.inputs[0]].device
        for name in self.outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            found[name] = self._torch.empty(shape, dtype=self._torch.float32, device=device)
            self._context.set_tensor_address(name, found[name].data_ptr())
        if not self._context.execute_async_v3(self._torch.cuda.current_stream().cuda_stream):
            raise ExportError(f"{self._kind} failed on the card: {self._logger.told()}")
        return found


def card() -> tuple[str, str]:
    """Name and compute capability of the card that torch uses, such as 9.0.

    Raises:
        ExportError: there is none.
    """
    torch = _torch_with_card()
    major, minor = torch.cuda.get_device_capability()
    return str(torch.cuda.get_device_name()), f"{major}.{minor}"


def _torch_with_card() -> Any:
    import torch

    if not has_card():
        raise ExportError(NO_GPU)
    return torch


def has_card() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return bool(torch.cuda.is_available())
