"""Regions of shared memory: reused, grown, registered anew where they were lost, and always given back."""

from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from bundle.modalities import Array
from clients.errors import BadRequest, ConnectionFailed, Problem
from clients.triton.request import Region
from clients.triton.shared_memory import SMALLEST, Regions


class Registrar:
    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.told: list[str] = []
        self.dead = False

    def register(self, name: str, key: str, size: int) -> None:
        if self.dead:
            raise ConnectionFailed("gone")
        assert key == f"/{name}"
        self.known[name] = size
        self.told.append(name)

    def unregister(self, name: str) -> None:
        if self.dead:
            raise ConnectionFailed("gone")
        del self.known[name]


def inputs(size: int) -> dict[str, Array]:
    return {
        "image": np.arange(size, dtype=np.uint8),
        "text": np.array([[7, 8, 9]], np.int64),
        "present": np.array([[True, False]]),
    }


def read(region: Region, like: dict[str, Array]) -> dict[str, Array]:
    """What a server would find there."""
    memory = SharedMemory(region.name)
    try:
        return {
            name: np.ndarray(array.shape, array.dtype, memory.buf, region.offsets[name]).copy()
            for name, array in like.items()
        }
    finally:
        memory.close()


def test_a_server_finds_the_inputs_and_a_region_is_used_again() -> None:
    registrar = Registrar()
    regions = Regions(registrar)
    for size in (200, 100):
        given = inputs(size)
        found = regions.ask(given, lambda region, given=given: read(region, given))  # type: ignore[misc]
        for name, array in given.items():
            assert np.array_equal(found[name], array)
    assert len(registrar.told) == 1
    regions.close()
    assert registrar.known == {}
    with pytest.raises(FileNotFoundError):
        SharedMemory(registrar.told[0])


def test_a_region_that_is_too_small_is_replaced_by_a_larger_one() -> None:
    registrar = Registrar()
    regions = Regions(registrar)
    regions.ask(inputs(1), lambda region: None)
    regions.ask(inputs(SMALLEST + 1), lambda region: None)
    assert len(registrar.told) == 2 and list(registrar.known.values()) == [2 * SMALLEST]
    regions.close()


def test_requests_at_once_have_regions_of_their_own() -> None:
    registrar = Registrar()
    regions = Regions(registrar)
    names = regions.ask(inputs(1), lambda one: (one.name, regions.ask(inputs(1), lambda other: other.name)))
    assert len(set(names)) == 2
    regions.close()
    assert registrar.known == {}


def test_a_region_that_the_server_lost_is_registered_again_once() -> None:
    registrar = Registrar()
    regions = Regions(registrar)
    asked: list[str] = []

    def question(region: Region) -> str:
        asked.append(region.name)
        if len(asked) != 2:
            raise BadRequest(Problem(400, f"Unable to find shared memory region: '{region.name}'"))
        return "answer"

    assert regions.ask(inputs(1), question) == "answer" and len(registrar.told) == 2
    with pytest.raises(BadRequest):
        regions.ask(inputs(1), question)
    assert len(asked) == 4
    with pytest.raises(BadRequest, match="unexpected shape"):
        regions.ask(inputs(1), refuse)
    regions.close()


def refuse(region: Region) -> None:
    raise BadRequest(Problem(400, "unexpected shape"))


def test_memory_is_given_back_where_the_server_is_gone() -> None:
    registrar = Registrar()
    regions = Regions(registrar)
    regions.ask(inputs(1), lambda region: None)
    registrar.dead = True
    regions.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(registrar.told[0])
    with pytest.raises(ConnectionFailed):
        regions.ask(inputs(1), lambda region: None)
