"""From pairs of files to decoded arrays: every sample decoded once and kept, every bad row said at once."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np

import bundle.modalities
from bundle.errors import InvalidInput
from bundle.modalities import Array, Modality
from training.errors import ConfigError
from training.pairs import Pairs, Source, payload
from training.problems import RowProblems
from training.progress import track

ABANDONED = 24 * 60 * 60
"""Seconds after which a half-written file is one that a killed run left behind."""
DECODERS = ("numpy", "pillow", "soundfile", "soxr", "av")


@dataclass(frozen=True)
class Prepared:
    """Decoded samples and the preprocessing that belongs to them."""

    pairs: Pairs
    modalities: dict[str, Modality]
    arrays: dict[str, Sequence[Array]]
    """By modality, one decoded array for each sample."""


def decode_all(pairs: Pairs, modalities: dict[str, Modality], folder: Path) -> dict[str, Sequence[Array]]:
    """Decode every sample of every modality once.

    Arrays of fixed shape are kept in memory-mapped files in `folder`, named by content, parameters and decoders; a file
    is written aside and renamed, so that a killed or concurrent run leaves nothing half-written under its name.

    Raises:
        DataError: lists every sample that cannot be decoded.
        ConfigError: the folder cannot be written.
    """
    arrays: dict[str, Sequence[Array]] = {}
    problems = RowProblems(pairs.rows)
    for name, modality in modalities.items():
        path = folder / f"{name}-{_key(modality, pairs.sources[name])}.npy"
        kept = _read(path, len(pairs.rows))
        if kept is None:
            found = _decode(name, modality, pairs.sources[name], problems)
            kept = list(found) if None in modality.shape else _keep(found, path, len(pairs.rows))
        arrays[name] = kept
    problems.check("the table")
    return arrays


def _read(path: Path, count: int) -> Sequence[Array] | None:
    """The kept arrays, or None where there are none that can be used."""
    try:
        kept = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return cast(Sequence[Array], kept) if len(kept) == count else None


def _decode(name: str, modality: Modality, sources: Sequence[Source], problems: RowProblems) -> Iterator[Array]:
    """Decoded samples in order; one that cannot be decoded goes to `problems` and is left out."""

    def one(source: Source) -> Array | str:
        try:
            return modality.decode(payload(source))
        except OSError as error:
            return f"expected a file that can be read, found one that cannot ({error.strerror or error})"
        except InvalidInput as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for index, found in enumerate(track(pool.map(one, sources), f"Reading {name}", len(sources))):
                if isinstance(found, str):
                    problems.add(index, name, found)
                else:
                    yield found
        finally:
            pool.shutdown(cancel_futures=True)  # an interruption does not wait for what is queued


def _keep(found: Iterator[Array], path: Path, count: int) -> Sequence[Array]:
    """Write arrays to disk as they come, unless some of the `count` are missing; returns them memory-mapped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob("*.part"):
            with suppress(FileNotFoundError):  # another process may rename it in this moment
                if time.time() - left.stat().st_mtime > ABANDONED:
                    left.unlink()
        aside = path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}.part")
        try:
            if _write(found, aside, count) < count:
                return []
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        return cast(Sequence[Array], np.load(path, mmap_mode="r"))
    except OSError as error:
        raise ConfigError(f"--cache {path.parent} cannot be written: {error.strerror or error}") from None


def _write(found: Iterator[Array], path: Path, count: int) -> int:
    """Write up to `count` arrays of one shape as one array; returns how many there were."""
    stacked: np.memmap | None = None
    written = 0
    for written, array in enumerate(found, 1):
        if stacked is None:
            stacked = np.lib.format.open_memmap(path, "w+", array.dtype, (count, *array.shape))
        stacked[written - 1] = array
    if stacked is not None:
        stacked.flush()
    return written


def _key(modality: Modality, sources: Sequence[Source]) -> str:
    digest = hashlib.sha256(json.dumps(modality.parameters(), sort_keys=True).encode())
    digest.update(_decoders())
    digest.update(digest_of(sources))
    return digest.hexdigest()[:24]


@cache
def _decoders() -> bytes:
    """What decodes: the versions of the libraries and our own source."""
    versions = "|".join(f"{name} {metadata.version(name)}" for name in DECODERS)
    folder = Path(bundle.modalities.__file__).parent
    own = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))))
    return versions.encode() + own.digest()


def digest_of(sources: Sequence[Source]) -> bytes:
    """What tells some samples from others: of a file its path, size and time of change, else the value itself."""
    digest = hashlib.sha256()
    for source in sources:
        if isinstance(source, Path):
            try:
                status = source.stat()
                digest.update(f"{source.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
            except OSError:  # decoding says so
                digest.update(f"{source}|absent\n".encode())
        else:
            digest.update(json.dumps(source).encode() + b"\n")
    return digest.digest()
