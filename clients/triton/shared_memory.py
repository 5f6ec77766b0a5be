"""Inputs in the system's shared memory, for a server on the same machine: the request then says only where they lie."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from typing import Protocol, TypeVar

import numpy as np

from bundle.modalities import Array
from clients.errors import AnswerError, ClientError
from clients.triton.request import Region

Value = TypeVar("Value")
SMALLEST = 1 << 16
"""Bytes of a region; larger ones double."""
ALIGNMENT = 64
LOST = "shared memory region"
"""In what a server says that does not know a region, as one that was started again does not."""


class Registrar(Protocol):
    """Who tells the server of regions."""

    def register(self, name: str, key: str, size: int) -> None:
        """Tell the server of a region."""

    def unregister(self, name: str) -> None:
        """Let the server forget it."""


class Regions:
    """As many regions as there are requests at once, each used by one at a time. Safe to use from several threads."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._free: list[SharedMemory] = []
        self._lock = threading.Lock()

    def ask(self, inputs: Mapping[str, Array], question: Callable[[Region], Value]) -> Value:
        """What `question` gives for the region that holds the inputs, which is its own for as long as it takes."""
        offsets, size = _layout(inputs)
        memory = self._borrow(size)
        try:
            for name, array in inputs.items():
                view = np.ndarray(array.shape, array.dtype, memory.buf, offsets[name])
                view[...] = array
                del view  # or the memory could not be closed
            region = Region(memory.name, offsets)
            try:
                return question(region)
            except AnswerError as error:
                if LOST not in error.problem.detail.lower():
                    raise
            self._register(memory)
            return question(region)
        finally:
            with self._lock:
                self._free.append(memory)

    def close(self) -> None:
        """Give all of it back; the server is told where it still listens."""
        with self._lock:
            free, self._free = self._free, []
        for memory in free:
            self._discard(memory)

    def _borrow(self, size: int) -> SharedMemory:
        with self._lock:
            memory = self._free.pop() if self._free else None
        if memory is not None and memory.size >= size:
            return memory
        if memory is not None:
            self._discard(memory)
        memory = SharedMemory(create=True, size=max(SMALLEST, 1 << (size - 1).bit_length()))
        try:
            self._register(memory)
        except BaseException:
            self._release(memory)
            raise
        return memory

    def _register(self, memory: SharedMemory) -> None:
        self._registrar.register(memory.name, f"/{memory.name}", memory.size)

    def _discard(self, memory: SharedMemory) -> None:
        with suppress(ClientError):
            self._registrar.unregister(memory.name)
        self._release(memory)

    @staticmethod
    def _release(memory: SharedMemory) -> None:
        memory.close()
        memory.unlink()


def _layout(inputs: Mapping[str, Array]) -> tuple[dict[str, int], int]:
    """Where each input begins, and how many bytes all take."""
    offsets, end = {}, 0
    for name, array in inputs.items():
        offsets[name] = end
        end += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return offsets, max(1, end)
