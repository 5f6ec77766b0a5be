"""Columns of texts, paths and numbers that take no memory by the row: their bytes lie in a file without a name."""

import os
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar, overload

import numpy as np
import pyarrow
from numpy.typing import DTypeLike, NDArray

Item = TypeVar("Item", covariant=True)
SMALL = 1 << 20
"""Bytes that stay in memory: a file is not worth it."""


class Column(Sequence[Item]):
    """An immutable sequence that makes its items as they are asked for, and keeps no object for each.

    A hundred thousand Python objects are not only large: looking at one writes its count of references, so every
    worker process would come to have a copy of them all.
    """

    @abstractmethod
    def item(self, position: int) -> Item:
        """The item at a position from 0."""

    @overload
    def __getitem__(self, position: int) -> Item: ...
    @overload
    def __getitem__(self, position: slice) -> list[Item]: ...
    def __getitem__(self, position: int | slice) -> Item | list[Item]:
        if isinstance(position, slice):
            return [self.item(found) for found in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        return self.item(position % len(self))

    def __iter__(self) -> Iterator[Item]:
        return map(self.item, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class Words(Column[str]):
    """Texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        content, ends, end = bytearray(), array("q", [0]), 0
        with ExitStack() as stack:
            file = None
            for text in texts:
                added = text.encode("utf-8", "surrogatepass")
                content += added
                end += len(added)
                ends.append(end)
                if len(content) > SMALL:
                    file = file or stack.enter_context(TemporaryFile())
                    file.write(content)
                    content.clear()
            if file is None:
                self._bytes = np.frombuffer(content, np.uint8)
            else:
                file.write(content)
                self._bytes = _mapped(file, np.uint8, (end,))
        self._ends = aside(np.frombuffer(ends, np.int64))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def item(self, position: int) -> str:
        """One text."""
        start, end = self._ends[position : position + 2].tolist()
        return self._bytes[start:end].tobytes().decode("utf-8", "surrogatepass")


class Files(Column[Path]):
    """Paths."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = Words(str(path) for path in paths)

    def __len__(self) -> int:
        return len(self._paths)

    def item(self, position: int) -> Path:
        """One path."""
        return Path(self._paths.item(position))


class Vectors(Column[Mapping[str, float | None]]):
    """Mappings of the same names to numbers, None where a value is missing.

    Args:
        names: the keys of every mapping, in order.
        values: `(rows, names)`, NaN where a value is missing.
    """

    def __init__(self, names: Sequence[str], values: NDArray[np.float64]) -> None:
        self.names = tuple(names)
        self.values = aside(np.ascontiguousarray(values, np.float64))

    def __len__(self) -> int:
        return len(self.values)

    def item(self, position: int) -> Mapping[str, float | None]:
        """One mapping."""
        numbers = self.values[position].tolist()
        return {name: None if value != value else value for name, value in zip(self.names, numbers, strict=True)}


class Chosen(Column[Item]):
    """Some items of another sequence.

    Args:
        items: the other.
        indices: which of its items, in order.
    """

    def __init__(self, items: Sequence[Item], indices: NDArray[np.int64]) -> None:
        self.items = items
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def item(self, position: int) -> Item:
        """One of them."""
        return self.items[int(self.indices[position])]


def compact(items: Sequence[Any]) -> Sequence[Any]:
    """The same items as a column, where they are all texts, all paths, or all mappings of the same names to numbers."""
    if isinstance(items, Column) or not items:
        return items
    if all(isinstance(item, str) for item in items):
        return Words(items)
    if all(isinstance(item, Path) for item in items):
        return Files(items)
    if not all(isinstance(item, Mapping) and tuple(item) == tuple(items[0]) for item in items):
        return items
    values = np.empty((len(items), len(items[0])))
    for row, item in zip(values, items, strict=True):
        row[:] = [np.nan if value is None else value for value in item.values()]
    return Vectors(tuple(items[0]), values)


def release() -> None:
    """Give back to the system what reading a table took: pandas keeps texts in Arrow, whose pool keeps freed memory."""
    pyarrow.default_memory_pool().release_unused()


def aside(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, of a large array memory-mapped from a temporary file that is gone when nothing uses it.

    The system can take such memory back whenever it needs it, and all processes share it.
    """
    if values.nbytes <= SMALL or isinstance(values.base, np.memmap):
        return values
    with TemporaryFile() as file:
        values.tofile(file)
        return _mapped(file, values.dtype, values.shape)


def beside(shape: tuple[int, int], blocks: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Blocks of columns beside each other, as `aside` would keep them, but never all of them in memory.

    Args:
        shape: `(rows, columns)` of all together.
        blocks: `(rows, some of the columns)` each, in order.

    Raises:
        OSError: there is no place for a temporary file of that size.
    """
    size = shape[0] * shape[1] * np.dtype(np.float64).itemsize
    if size <= SMALL:
        return np.concatenate(list(blocks), axis=1)
    with TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, but kills what maps it
        values, start = np.memmap(file, np.float64, "w+", shape=shape), 0
        for block in blocks:
            values[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        values.flush()
        return _mapped(file, np.float64, shape)


def _mapped(file: IO[bytes], kind: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    file.flush()
    return np.asarray(np.memmap(file, kind, "r", shape=shape))
