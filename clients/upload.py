"""A file on its way to the server: read chunk by chunk, from the start for every attempt, never held whole."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from clients.errors import InvalidCall


class Upload:
    """A file of the size it had when this was made, as httpx's multipart encoder takes it.

    Args:
        name: the input, for messages.
        path: a regular file.

    Raises:
        InvalidCall: it cannot be opened; or, when it is read, it is gone or another than before.
    """

    def __init__(self, name: str, path: str | os.PathLike[str]) -> None:
        self._name, self._path = name, Path(path)
        self._file: BinaryIO | None = None
        self._seen: tuple[int, int] | None = None
        self._seen = self._open()
        self.size = self._seen[0]
        self.close()

    def tell(self) -> int:
        """How many bytes were read."""
        return self._file.tell() if self._file is not None else 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Only what the encoder does: ask for the size, and go back to the start, for which the file is opened anew."""
        assert offset == 0
        self.close()
        return self.size if whence == os.SEEK_END else 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; empty at the end of what was promised."""
        if self._file is None:
            self._open()
            assert self._file is not None
        position = self._file.tell()
        if position == self.size:
            if self._state(self._file) != self._seen:
                raise self._changed()
            return b""
        try:
            chunk = self._file.read(min(size, self.size - position))
        except OSError as error:
            raise unreadable(self._name, self._path, error) from None
        if not chunk:
            raise self._changed()
        return chunk

    def close(self) -> None:
        """Close the file; the next `read` begins at the start."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> tuple[int, int]:
        try:
            self._file = self._path.open("rb")
        except (OSError, ValueError) as error:
            raise unreadable(self._name, self._path, error) from None
        state = self._state(self._file)
        if self._seen not in (None, state):
            raise self._changed()
        return state

    @staticmethod
    def _state(file: io.BufferedIOBase | BinaryIO) -> tuple[int, int]:
        status = os.fstat(file.fileno())
        return status.st_size, status.st_mtime_ns

    def _changed(self) -> InvalidCall:
        self.close()
        return InvalidCall(f"{self._name}: expected a file that stays as it is, {str(self._path)!r} changed meanwhile")


def unreadable(name: str, path: str | os.PathLike[str], error: Exception) -> InvalidCall:
    """The error for a file that cannot be read, in one line."""
    reason = getattr(error, "strerror", None) or str(error)
    return InvalidCall(f"{name}: expected a file to read, {os.fspath(path)!r} is none ({reason})")
