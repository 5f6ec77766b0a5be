"""What is known of each row so far, in a file that a kill at any moment leaves readable."""

import fcntl
import json
from array import array
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bundle.tables.answers import ERROR, ROW, Cells
from clients.errors import InvalidCall


class Journal:
    """One line of JSON for what the run is of, then one for each row that has come back; a later line counts.

    Memory: 8 bytes for each row.

    Args:
        path: the file; made where it is absent, and locked until it is closed.
        identity: what the run is of; a file of another run is refused.
        rows: how many the table has.
        anew: forget what the file holds.

    Raises:
        InvalidCall: another run holds or wrote the file, or it cannot be read or written.
    """

    def __init__(self, path: Path, identity: dict[str, Any], rows: int, anew: bool = False) -> None:
        self.path = path
        self._places = array("q", bytes(8 * rows))
        """For each row 0 (not back), the position of its line, or that below zero (an error)."""
        self.answers = self.errors = 0
        try:
            self._written = path.open("ab", buffering=0)
            self._known = path.open("rb")
        except OSError as error:
            raise InvalidCall(f"{path}: expected a file to write, {error.strerror}") from None
        try:
            self._lock()
            if anew:
                self._written.truncate(0)
            self._end = self._read(identity)
            self._written.truncate(self._end)
            if self._end == 0:
                self._append(identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which stays."""
        self.close()

    def close(self) -> None:
        """Let another run have the file."""
        self._known.close()
        self._written.close()

    def is_wanted(self, row: int, errors_too: bool) -> bool:
        """Whether a row is still to be asked."""
        place = self._places[row]
        return place == 0 or (errors_too and place < 0)

    def record(self, row: int, cells: Cells) -> None:
        """Write a row's line, whole and at once.

        Raises:
            InvalidCall: the disk is full, or the like.
        """
        place = self._end
        self._append({ROW: row} | cells)
        self._note(row, cells, place)

    def cells(self, row: int) -> Cells:
        """What is known of a row that has come back."""
        place = abs(self._places[row])
        assert place
        self._known.seek(place)
        cells: Cells = json.loads(self._known.readline())
        return cells

    def remove(self) -> None:
        """Delete the file: everything is elsewhere."""
        self.path.unlink(missing_ok=True)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._written, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidCall(f"{self.path}: another run is writing it; wait for its end") from None

    def _append(self, content: dict[str, Any]) -> None:
        line = json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            size = self._written.write(line)
        except OSError as error:
            raise InvalidCall(f"{self.path}: expected room for one more line, found none ({error.strerror})") from None
        if size != len(line):
            raise InvalidCall(f"{self.path}: expected room for one more line, found less")
        self._end += size

    def _note(self, row: int, cells: Cells, place: int) -> None:
        before = self._places[row]
        self.answers -= before > 0
        self.errors -= before < 0
        failed = cells[ERROR] is not None
        self._places[row] = -place if failed else place
        self.answers += not failed
        self.errors += failed

    def _read(self, identity: dict[str, Any]) -> int:
        """Read what there is; where a last line that was not written to its end begins, or the end."""
        place = 0
        for number, line in enumerate(self._known, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                content = json.loads(line)
                if place == 0:
                    self._compare(content, identity)
                else:
                    self._note(content[ROW], content, place)
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                raise InvalidCall(
                    f"{self.path}: line {number} is damaged; delete the file, or ask everything anew with --overwrite"
                ) from None
            place += len(line)
        return place

    def _compare(self, found: dict[str, Any], identity: dict[str, Any]) -> None:
        other = sorted(name for name in identity.keys() | found.keys() if identity.get(name) != found.get(name))
        if other:
            raise InvalidCall(
                f"{self.path} is of a run with another {' and another '.join(other)}; "
                "give the same ones, another --out, or --overwrite to ask everything anew"
            )
