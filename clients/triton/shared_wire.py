"""Requests of threads, with their inputs in shared memory."""

from collections.abc import Mapping
from dataclasses import replace

from bundle.modalities import Array
from clients.triton.over_grpc import GrpcWire
from clients.triton.over_http import HttpWire
from clients.triton.request import Address, Region, Request
from clients.triton.shared_memory import Regions

Wire = HttpWire | GrpcWire


def wire_of(address: Address, timeout: float, headers: Mapping[str, str], connections: int) -> Wire:
    """The wire for threads that an address is of."""
    return GrpcWire(address, timeout, headers) if address.grpc else HttpWire(address, timeout, headers, connections)


class SharedWire:
    """A wire whose inputs are in shared memory. Safe to use from several threads.

    Args:
        wire: carries the requests; closed with this.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire, self._regions = wire, Regions(wire)

    def infer(self, request: Request) -> dict[str, Array]:
        """The outputs by name."""

        def ask(region: Region) -> dict[str, Array]:
            return self._wire.infer(replace(request, region=region))

        return self._regions.ask(request.inputs, ask)

    def close(self) -> None:
        """Give the memory back, and close the connections."""
        self._regions.close()
        self._wire.close()
