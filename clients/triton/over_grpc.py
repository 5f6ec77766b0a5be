"""Triton over gRPC, with tritonclient's clients: one channel, which all threads or all tasks share."""

import asyncio
from collections.abc import Mapping
from typing import Any

import tritonclient.grpc as library
import tritonclient.grpc.aio as library_async
from tritonclient.utils import InferenceServerException

from bundle.modalities import Array
from clients.triton.refusals import closed, from_grpc
from clients.triton.request import Address, Request

LARGEST = 2**31 - 1
CHANNEL = [
    ("grpc.max_send_message_length", LARGEST),
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # a server that is back is found within a second
]


def _arguments(request: Request, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "model_name": request.model,
        "inputs": request.tensors(library),
        "model_version": request.version,
        "outputs": request.wanted(library),
        "request_id": request.id,
        "timeout": request.microseconds,
        "client_timeout": request.timeout,
        "headers": dict(headers),
    }


def _outputs(found: Any, request: Request) -> dict[str, Array]:
    arrays = {name: found.as_numpy(name) for name in request.outputs}
    return {name: array for name, array in arrays.items() if array is not None}


class GrpcWire:
    """For threads."""

    def __init__(self, address: Address, timeout: float, headers: Mapping[str, str]) -> None:
        self._address, self._timeout, self._headers = address, timeout, dict(headers)
        self._client = library.InferenceServerClient(address.host, ssl=address.secure, channel_args=CHANNEL)

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def config(self, model: str) -> Mapping[str, Any]:
        """A model's configuration."""
        found = self._call("get_model_config", self._timeout, model_name=model, as_json=True)
        config: Mapping[str, Any] = found["config"]
        return config

    def infer(self, request: Request) -> dict[str, Array]:
        """The outputs by name."""
        arguments = _arguments(request, self._headers)
        return _outputs(self._call("infer", arguments.pop("client_timeout"), **arguments), request)

    def register(self, name: str, key: str, size: int) -> None:
        """Tell the server of a region of shared memory."""
        self._call("register_system_shared_memory", self._timeout, name=name, key=key, byte_size=size)

    def unregister(self, name: str) -> None:
        """Let the server forget it."""
        self._call("unregister_system_shared_memory", self._timeout, name=name)

    def _call(self, method: str, seconds: float, **arguments: Any) -> Any:
        try:
            return getattr(self._client, method)(**{"headers": self._headers} | arguments, client_timeout=seconds)
        except InferenceServerException as error:
            raise from_grpc(error, self._address.url, seconds) from error
        except ValueError as error:  # what grpc says of a channel that was closed
            raise from_grpc(InferenceServerException(str(error), "CANCELLED"), self._address.url, seconds) from error


class AsyncGrpcWire:
    """For tasks of one event loop, in which the channel is made at its first use."""

    def __init__(self, address: Address, timeout: float, headers: Mapping[str, str]) -> None:
        self._address, self._timeout, self._headers = address, timeout, dict(headers)
        self._client: Any = None
        self._closed = False

    async def close(self) -> None:
        """Close the channel."""
        self._closed = True
        if self._client is not None:
            await self._client.close()

    async def config(self, model: str) -> Mapping[str, Any]:
        """A model's configuration."""
        found = await self._call("get_model_config", self._timeout, model_name=model, as_json=True)
        config: Mapping[str, Any] = found["config"]
        return config

    async def infer(self, request: Request) -> dict[str, Array]:
        """The outputs by name."""
        arguments = _arguments(request, self._headers)
        return _outputs(await self._call("infer", arguments.pop("client_timeout"), **arguments), request)

    async def _call(self, method: str, seconds: float, **arguments: Any) -> Any:
        if self._closed:
            raise closed(self._address.url)
        if self._client is None:
            secure, host = self._address.secure, self._address.host
            self._client = library_async.InferenceServerClient(host, ssl=secure, channel_args=CHANNEL)
        try:
            return await getattr(self._client, method)(**{"headers": self._headers} | arguments, client_timeout=seconds)
        except InferenceServerException as error:
            raise from_grpc(error, self._address.url, seconds) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():  # by grpc, whose channel was closed
                raise closed(self._address.url) from None
            raise
