"""What is answered so far: a folder with one file for each part, whole or not there, whenever a run is killed."""

import fcntl
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bundle.errors import TableError

STATE = "run.json"
NAME = re.compile(r"(\d{8})-(\d+)")
"""Number of a part, and how many of its rows are errors."""
BATCH = "batch"
ARITHMETIC = "arithmetic"


class Parts:
    """The folder, locked until it is closed. A context manager.

    Args:
        folder: made where it is absent.
        identity: what the run is of; what is kept of another run is refused.
        batch: samples of an inference where that was asked for; None takes what an earlier run measured, if any.
        anew: take what the folder holds for nothing; it is deleted once the new run is settled.

    Raises:
        TableError: another run holds or wrote the folder, or it cannot be read or written.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], batch: int | None, anew: bool = False) -> None:
        self.folder = folder
        self.batch: int | None = None
        """Samples of an inference, once that is settled."""
        self.done: dict[int, int] = {}
        """Parts that are there, with how many of their rows are errors."""
        self._arithmetic = ""
        self._locked = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._state = (folder / STATE).open("a+b")
        except OSError as error:
            raise TableError(f"{folder}: expected a folder to write into, {error.strerror}") from None
        try:
            fcntl.flock(self._state, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locked = True
            if not anew:
                self.done = self._found()
            self._identity = json.loads(json.dumps(identity))
            self._open(batch)
        except BlockingIOError:
            self.close()
            raise TableError(f"{folder}: another run is writing into it; wait for its end") from None
        except OSError as error:
            self.close()
            raise TableError(f"{folder}: expected a folder to write into, {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """The parts themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlock the folder, which stays."""
        self.close()

    def close(self) -> None:
        """Let another run have the folder, which is deleted where it keeps nothing."""
        with suppress(OSError):
            if self._locked and [path.name for path in self.folder.iterdir()] == [STATE]:
                self.remove()
        self._locked = False
        self._state.close()

    @property
    def errors(self) -> int:
        """Rows of the parts that are errors."""
        return sum(self.done.values())

    def settle(self, batch: int, arithmetic: str) -> None:
        """Keep how the rows are computed, or compare it with how those that are kept were: answers differ by it.

        Args:
            batch: samples of an inference; with another number the last digits of answers may differ.
            arithmetic: what the graph computes in, and by whom.

        Raises:
            TableError: it cannot be written, or what is kept was computed otherwise.
        """
        self.batch = batch
        if self.done:
            if arithmetic != self._arithmetic:
                raise TableError(
                    f"{self.folder} is of a run that computed in {self._arithmetic}, found {arithmetic}; give the same "
                    "providers where they work, another --out, or --overwrite to begin anew"
                )
            return
        content = json.dumps(self._identity | {BATCH: batch, ARITHMETIC: arithmetic}).encode() + b"\n"
        try:
            self._forget()
            self._state.write(content)
            self._state.flush()
            os.fsync(self._state.fileno())
        except OSError as error:
            raise TableError(f"{self.folder}: expected room for {STATE}, {error.strerror}") from None

    def put(self, part: int, errors: int, content: bytes) -> None:
        """Keep a part; it is there as a whole or not at all.

        Raises:
            TableError: it cannot be written.
        """
        draft = self.folder / f"{part:08}.tmp"
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.folder / f"{part:08}-{errors}")
        except OSError as error:
            raise TableError(f"{self.folder}: expected room for one more part, {error.strerror}") from None
        self.done[part] = errors

    def path(self, part: int) -> Path:
        """The file of a part that is there."""
        return self.folder / f"{part:08}-{self.done[part]}"

    def remove(self) -> None:
        """Delete the folder: everything is elsewhere. What a kill leaves of it is no run any more."""
        (self.folder / STATE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _found(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for path in sorted(self.folder.iterdir()):
            match = NAME.fullmatch(path.name)
            if match is not None:
                found[int(match[1])] = int(match[2])
            elif path.suffix == ".tmp":
                path.unlink()
        return found

    def _forget(self) -> None:
        self._state.truncate(0)
        for path in self.folder.iterdir():
            if path.name != STATE:
                path.unlink()

    def _open(self, batch: int | None) -> None:
        """Compare with what the folder is of; without any part, anything may become of it."""
        self._state.seek(0)
        stated = self._state.read()
        if not self.done or not stated:
            if self.done:
                self.done = {}  # left of a run that was finished
            self.batch = batch
            return
        try:
            found = dict(json.loads(stated))
            measured = int(found[BATCH])
            self._arithmetic = str(found.get(ARITHMETIC))
        except (ValueError, KeyError, TypeError):
            raise TableError(f"{self.folder / STATE} is damaged; begin anew with --overwrite") from None
        wanted = self._identity | {
            BATCH: measured if batch is None else batch,
            ARITHMETIC: found.get(ARITHMETIC),
        }
        other = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if other:
            raise TableError(
                f"{self.folder} is of a run with another {' and another '.join(other)}; "
                "give the same ones, another --out, or --overwrite to begin anew"
            )
        self.batch = measured
