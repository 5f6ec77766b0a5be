"""The files of a bundle: regular ones inside its folder, of bounded size, and never a link to elsewhere."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath

from bundle.errors import ManifestError

LARGEST = (1 << 31) - 1
"""Bytes of any one file: what one message of protocol buffers, and so a graph, may have."""
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Of opening: a link is not followed, and a pipe without a writer does not block."""


@contextmanager
def opened(folder: Path, name: str, largest: int = LARGEST) -> Iterator[BufferedReader]:
    """One file of the bundle for reading. The folder itself may be a link; nothing below it may.

    Raises:
        ManifestError: a path that leads outside, a link, no regular file, or one of over `largest` bytes.
    """
    path = _inside(folder, name)
    try:
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError:
        raise ManifestError(f"{name!r}: expected a file of the bundle, found none") from None
    except (OSError, ValueError) as error:  # a name that is no name, a link put there since
        raise ManifestError(f"{name!r}: expected a file of the bundle, it cannot be read ({error})") from None
    try:
        _check_kind(name, os.fstat(descriptor), largest)
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    except OSError as error:
        raise ManifestError(f"{name!r}: expected a file of the bundle, it cannot be read ({error})") from None
    finally:
        os.close(descriptor)


def _check_kind(name: str, found: os.stat_result, largest: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise ManifestError(f"{name!r}: expected a file of the bundle, found none")
    if not stat.S_ISREG(found.st_mode):
        raise ManifestError(f"{name!r}: expected a regular file, found a pipe, socket or device")
    if found.st_size > largest:
        raise ManifestError(f"{name!r}: expected at most {largest:,} bytes, found {found.st_size:,}")


def read(folder: Path, name: str, largest: int = LARGEST) -> bytes:
    """The content of one file of the bundle.

    Raises:
        ManifestError: as `opened`.
    """
    with opened(folder, name, largest) as file:
        return file.read(largest + 1)


def check_file(folder: Path, name: str, expected: str) -> None:
    """Refuse a file that is absent, altered, or not inside the bundle.

    Raises:
        ManifestError: saying which of these.
    """
    with opened(folder, name) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ManifestError(f"{name!r} was changed: expected sha256 {expected[:12]}…, found {found[:12]}…")


def check_names(names: Iterator[str]) -> None:
    """Refuse names that mean one file on some file systems: that differ by case or by `./` alone.

    Raises:
        ManifestError: naming the second.
    """
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            raise ManifestError(f"files: expected each file once, found {first!r} and {name!r}")


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise ManifestError(f"{name!r}: expected a file inside the bundle, found a path that leads outside")
    if not path.parts or name != str(path) or not name.isprintable():
        raise ManifestError(f"{name!r}: expected a file of the bundle, found no plain path")
    place = folder
    for part in path.parts:
        place = place / part
        if place.is_symlink():
            raise ManifestError(f"{name!r}: expected a file inside the bundle, found a symbolic link")
    return place
