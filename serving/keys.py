"""API keys: `python -m serving.keys add FILE NAME [--admin]` makes one, shows it once, and keeps its hash."""

import argparse
import hashlib
import hmac
import logging
import os
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from serving.logs import NAME

logger = logging.getLogger(NAME)
PREFIX = "ib_"
ADMIN = "admin"
LINE = re.compile(r"(?P<name>\S+)\s+(?P<hash>[0-9a-f]{64})(?:\s+(?P<role>admin))?")


class KeyFileError(ValueError):
    """A key file that cannot be used; the message names the line."""


@dataclass(frozen=True)
class Key:
    """One key, known by its hash alone. Keys are 256 random bits, so one round of SHA-256 hides them."""

    name: str
    digest: str
    admin: bool


def digest(key: str) -> str:
    """Hexadecimal SHA-256 of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> tuple[Key, ...]:
    """The keys of a file: a line each of name, hash and, for administrators, `admin`; `#` begins a comment.

    Raises:
        KeyFileError: it cannot be read, or a line is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: expected a file of keys, it cannot be read ({error})") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = LINE.fullmatch(text)
        if match is None:
            raise KeyFileError(f"{path}, line {number}: expected a name, a SHA-256 in hexadecimal and perhaps 'admin'")
        found.append(Key(match["name"], match["hash"], match["role"] == ADMIN))
    return tuple(found)


class Keys:
    """The keys of a file, read again whenever the file changes; an unreadable file leaves those there were.

    Args:
        path: the file; None asks nobody for a key, and lets nobody administrate.

    Raises:
        KeyFileError: the file cannot be used at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: tuple[Key, ...] = () if path is None else read(path)
        self._stamp = self._stat()

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path) if self._path is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)

    @property
    def required(self) -> bool:
        """Whether anybody is asked for a key."""
        return self._path is not None

    def find(self, given: str) -> Key | None:
        """The key that was given, if it is one; every key is compared, in constant time."""
        if self._path is None:
            return None
        stamp = self._stat()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = read(self._path)
                logger.info("keys read", extra={"keys": len(self._keys)})
            except KeyFileError as error:
                logger.error("the keys stay as they were: %s", error)
        hashed = digest(given)
        matching = [key for key in self._keys if hmac.compare_digest(key.digest, hashed)]
        return matching[0] if matching else None


def add(path: Path, name: str, admin: bool) -> str:
    """Append a new key to the file, and return it: the only time it is seen.

    Raises:
        KeyFileError: the file cannot be used, or the name is no word or taken.
    """
    if LINE.fullmatch(f"{name} {'0' * 64}") is None or "#" in name:
        raise KeyFileError(f"name: expected a word, found {name!r}")
    known = read(path) if path.exists() else ()
    if any(key.name == name for key in known):
        raise KeyFileError(f"name: expected a new one, {name!r} is in {path}")
    key = PREFIX + secrets.token_urlsafe(32)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    line = f"{name} {digest(key)}{' ' + ADMIN if admin else ''}\n"
    aside = path.with_name(path.name + ".new")
    aside.touch(mode=0o600)
    aside.write_text(before + ("" if before.endswith("\n") or not before else "\n") + line, encoding="utf-8")
    os.replace(aside, path)
    return key


def main(arguments: list[str] | None = None) -> int:
    """Add one key; 2 and one line for whatever goes wrong."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("add", help="make a key; removing its line from the file ends it")
    command.add_argument("file", type=Path, help="the file that INFOBRIDGE_KEY_FILE names")
    command.add_argument("name", help="who it is for")
    command.add_argument("--admin", action="store_true", help="let it reload bundles")
    options = parser.parse_args(arguments)
    try:
        print(add(options.file, options.name, options.admin))
    except (KeyFileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
