"""Decoded samples on disk, some hundred to a file, memory-mapped; nothing half-written has a file's name."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from bundle.modalities import Array

SHARD = 256
"""Samples in a file: what a killed run may have to decode again, and what one changed sample makes stale."""
ABANDONED = 24 * 60 * 60
"""Seconds after which a half-written file is one that a killed run left behind."""


class Ragged(Sequence[Array]):
    """Arrays of different shapes, end to end in one.

    Args:
        values: all of them, flat.
        places: `(arrays, 1 + axes)`: where each begins, and its shape.
    """

    def __init__(self, values: Array, places: NDArray[np.int64]) -> None:
        self._values = values
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, position: int) -> Array: ...
    @overload
    def __getitem__(self, position: slice) -> list[Array]: ...
    def __getitem__(self, position: int | slice) -> Array | list[Array]:
        if isinstance(position, slice):
            return [self[found] for found in range(*position.indices(len(self)))]
        start, *shape = self._places[position].tolist()
        found: Array = self._values[start : start + int(np.prod(shape))].reshape(shape)
        return found


class Shards(Sequence[Array]):
    """The arrays of several files as one sequence; every file but the last has `SHARD` of them."""

    def __init__(self, files: Sequence[Sequence[Array]]) -> None:
        self._files = files
        self._count = sum(len(file) for file in files)
        self._size = max(1, len(files[0])) if files else 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, position: int) -> Array: ...
    @overload
    def __getitem__(self, position: slice) -> list[Array]: ...
    def __getitem__(self, position: int | slice) -> Array | list[Array]:
        if isinstance(position, slice):
            return [self[found] for found in range(*position.indices(len(self)))]
        if not -self._count <= position < self._count:
            raise IndexError(position)
        file, place = divmod(position % self._count, self._size)
        return self._files[file][place]


def read(path: Path, count: int, ragged: bool) -> Sequence[Array] | None:
    """The arrays kept at `path`, or None where there are not `count` that can be used.

    Args:
        path: without a suffix.
        count: how many there must be.
        ragged: whether their shapes differ.
    """
    values = _load(path.with_suffix(".npy"))
    if not ragged or values is None:
        return values if values is not None and values.ndim and len(values) == count else None  # type: ignore[return-value]
    places = _load(path.with_suffix(".places.npy"))
    if places is None or places.ndim != 2 or len(places) != count or not count:
        return None
    start, *shape = places[-1].tolist()
    return Ragged(values, places) if start + int(np.prod(shape)) == len(values) else None


def _load(path: Path) -> Array | None:
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, EOFError):
        return None


def write(path: Path, arrays: Iterable[Array | None], count: int, ragged: bool) -> bool:
    """Keep `count` arrays at `path`, as they come; where one is None nothing is kept, but all are taken.

    Raises:
        OSError: the folder cannot be written.
    """
    return _write_ragged(path, arrays) if ragged else _write_stacked(path, arrays, count)


def _write_stacked(path: Path, arrays: Iterable[Array | None], count: int) -> bool:
    whole, shape = True, None
    with _aside(path.with_suffix(".npy")) as (file, done):
        for array in arrays:
            if array is None:
                whole = False
            elif whole:
                if shape is None:
                    shape = array.shape
                    header = {"shape": (count, *shape), "fortran_order": False, "descr": array.dtype.str}
                    np.lib.format.write_array_header_1_0(file, header)
                assert array.shape == shape
                file.write(np.ascontiguousarray(array).data)  # a full disk is an error here, but kills what maps it
        if whole:
            done()
    return whole


def _write_ragged(path: Path, arrays: Iterable[Array | None]) -> bool:
    found = list(arrays)
    kept = [array for array in found if array is not None]
    if len(kept) < len(found):
        return False
    starts = np.cumsum([0, *(array.size for array in kept[:-1])])
    places = np.array([[start, *array.shape] for start, array in zip(starts, kept, strict=True)], np.int64)
    values = np.concatenate([array.ravel() for array in kept])
    for suffix, content in ((".places.npy", places), (".npy", values)):  # the values' name says that both are there
        with _aside(path.with_suffix(suffix)) as (file, done):
            np.save(file, content)
            done()
    return True


@contextmanager
def _aside(path: Path) -> Iterator[Any]:
    """A file to write beside `path`, and what to call so that it becomes `path` in the end; else it is removed."""
    part = path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}.part")
    complete: list[bool] = []
    try:
        with part.open("wb") as file:
            yield file, lambda: complete.append(True)
        if complete:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed runs left half-written long ago."""
    for left in folder.glob("*.part"):
        with suppress(FileNotFoundError):  # another process may rename it in this moment
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
