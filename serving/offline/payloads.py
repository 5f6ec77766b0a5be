"""From the cells of a row to payloads: every file read once, of bounded size, and nothing but regular ones."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from bundle.errors import TableError, TooLarge
from bundle.modalities import Payload
from bundle.tables.columns import Cell

FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Of opening: a pipe without a writer does not block."""


def read(sample: Mapping[str, Cell], folder: Path, largest: int) -> dict[str, Payload]:
    """The payloads of a row.

    Args:
        sample: its cells.
        folder: messages name what lies in it as the table does, whatever machine it is on.
        largest: bytes of each file.

    Raises:
        TableError: a file that is none.
        TooLarge: one of too many bytes.
    """
    found: dict[str, Payload] = {}
    for name, cell in sample.items():
        if not isinstance(cell, Path):
            found[name] = cell
            continue
        shown = cell.relative_to(folder) if cell.is_relative_to(folder) else cell
        try:
            found[name] = _content(cell, largest + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TableError(f"{name}: expected a file to read, {str(shown)!r} is none ({reason})") from None
        if len(found[name]) > largest:
            raise TooLarge(f"a file of at most {largest:,} bytes", "a larger one", name)
    return found


def _content(path: Path, size: int) -> bytes:
    descriptor = os.open(path, FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size)
    finally:
        os.close(descriptor)
