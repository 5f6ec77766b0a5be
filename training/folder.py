"""One training at a time writes a run's folder."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import ConfigError

UNSUPPORTED = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems say that cannot lock a folder, as some of a network."""
_held: set[int] = set()
"""Descriptors of the folders this process has for itself."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have a folder for this process until the block or the process ends, however it ends.

    The folder itself is locked, so that no file is left behind. Where a file system cannot lock, nothing is.

    Raises:
        ConfigError: another training has it.
        OSError: the folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    _held.add(descriptor)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        if descriptor in _held:  # a fork that comes here has let it go
            _held.remove(descriptor)
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"--out {folder}: expected no other training there, found one at work; wait for its end, or choose another "
            "--out"
        ) from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _let_go() -> None:
    """A worker outlives a process that was killed by some seconds, and must not keep its folder."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
