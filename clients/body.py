"""The body of a request as it leaves: pieces of an even size, read from the disk while they are sent."""

from collections.abc import AsyncIterator, Iterable, Iterator

import anyio.to_thread
import httpx

CHUNK = 256 * 1024
"""Bytes that a piece has at least, except the last: an encoder's boundaries and headers are no packets of their own."""


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Sends what an encoder makes.

    Args:
        stream: the encoder's pieces.
        from_disk: whether making them reads files, which an event loop must not wait for.
    """

    def __init__(self, stream: Iterable[bytes], from_disk: bool) -> None:
        self._stream, self._from_disk = stream, from_disk

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        return gathered(self._stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces, those from the disk read in a thread."""
        pieces = iter(self)
        while True:
            piece = await anyio.to_thread.run_sync(next, pieces, None) if self._from_disk else next(pieces, None)
            if piece is None:
                return
            yield piece


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes; small pieces joined until they have `CHUNK` bytes, large ones left as they are."""
    small: list[bytes] = []
    for piece in pieces:
        if len(piece) < CHUNK:
            small.append(piece)
        if small and (len(piece) >= CHUNK or sum(map(len, small)) >= CHUNK):
            yield b"".join(small)
            small = []
        if len(piece) >= CHUNK:
            yield piece
    if small:
        yield b"".join(small)
