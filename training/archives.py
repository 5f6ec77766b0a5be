"""Unpacks zip, tar and Debian archives into a folder, once, and nothing outside of it."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from training.errors import DataError
from training.progress import console

DEB = b"!<arch>\n"
"""How a Debian package begins."""
HEADER = 60
"""Bytes of a member's header in it."""
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".deb")
KNOWN = f"one of {', '.join(ENDINGS)}"


def unpacked(archive: Path, folder: Path) -> Path:
    """The folder within `folder` that holds the archive's content; unpacked now, unless it was before.

    It is named by the archive's name, size and time, written aside and renamed: an interruption leaves no half of it.

    Raises:
        DataError: no archive, a damaged one, or one with a member that would lie outside.
    """
    status = archive.stat()
    known = hashlib.sha256(f"{archive.name}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:8]
    target = folder / f"{archive.name.split('_')[0].split('.')[0]}-{known}"
    if target.is_dir():
        return target
    console.print(f"Unpacking {archive}")
    aside = folder / f".{os.getpid()}-{archive.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        _unpack(archive, aside)
        aside.rename(target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, LZMAError, zlib.error, RuntimeError) as error:
        raise DataError(f"{archive}: expected an archive ({KNOWN}) that is whole, found otherwise ({error})") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _unpack(archive: Path, folder: Path) -> None:
    with archive.open("rb") as file:
        start = file.read(len(DEB))
    if start == DEB:
        with _deb_content(archive) as content, tarfile.open(fileobj=content, mode="r|*") as tar:
            tar.extractall(folder, filter="data")
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            outside = [name for name in packed.namelist() if name.startswith("/") or ".." in PurePosixPath(name).parts]
            if outside:
                raise DataError(f"{archive}: expected members inside of it, found {outside[0]!r}")
            packed.extractall(folder)
    elif archive.name.lower().endswith(ENDINGS) or tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    else:
        raise DataError(f"{archive}: expected a folder or an archive ({KNOWN}), found another file")


@contextmanager
def _deb_content(archive: Path) -> Iterator[IO[bytes]]:
    """The tar with a Debian package's files.

    Raises:
        DataError: there is none, or it is packed with zstd and there is no dpkg-deb.
    """
    for name, offset, size in _members(archive):
        if name.startswith("data.tar") and not name.endswith(".zst"):
            with archive.open("rb") as file:
                file.seek(offset)
                yield io.BytesIO(file.read(size))
            return
    program = shutil.which("dpkg-deb")
    if program is None:
        raise DataError(f"{archive}: expected data.tar.xz in it or dpkg-deb to read it, found neither")
    with subprocess.Popen([program, "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        yield reading.stdout


def _members(archive: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each member of a Debian package."""
    end = archive.stat().st_size
    with archive.open("rb") as file:
        offset = len(DEB)
        while offset + HEADER <= end:
            file.seek(offset)
            header = file.read(HEADER)
            try:
                size = int(header[48:58])
            except ValueError:
                raise DataError(f"{archive}: expected a Debian package, found a damaged one") from None
            yield header[:16].decode("latin-1").strip().rstrip("/"), offset + HEADER, size
            offset += HEADER + size + size % 2
