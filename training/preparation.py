"""From pairs of files to decoded arrays: every sample decoded once and kept, every bad row said at once."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import metadata
from itertools import islice
from pathlib import Path

import numpy as np

import bundle.modalities
from bundle.errors import InvalidInput
from bundle.modalities import Array, Modality
from training import shards
from training.columns import Chosen
from training.config import Config
from training.errors import ConfigError
from training.frames import Evaluated, pool_of, widened
from training.pairs import Pairs, Source, payload
from training.problems import RowProblems
from training.progress import track

DECODERS = ("numpy", "pillow", "soundfile", "soxr", "av", "tokenizers")
AHEAD = 8
"""Samples for each core that are decoded before they are needed."""


@dataclass(frozen=True)
class Prepared:
    """Decoded samples and the preprocessing that belongs to them."""

    pairs: Pairs
    modalities: dict[str, Modality]
    arrays: Mapping[str, Sequence[Array]]
    """By modality, one decoded array for each sample, as serving decodes it."""
    pools: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    """By modality, where training draws from more: the same samples with all their frames."""

    @classmethod
    def of(cls, config: Config, pairs: Pairs, modalities: dict[str, Modality], folder: Path) -> "Prepared":
        """Decode every sample once, through the cache in `folder`.

        Raises:
            DataError: lists every sample that cannot be decoded.
            ConfigError: the folder cannot be written.
        """
        decoded = decode_all(pairs, {name: widened(kind, config) for name, kind in modalities.items()}, folder)
        pools = {name: pool for name, kind in modalities.items() if (pool := pool_of(kind, config)) > 1}
        arrays = {**decoded, **{name: Evaluated(decoded[name], pool) for name, pool in pools.items()}}
        return cls(pairs, modalities, arrays, {name: decoded[name] for name in pools})


def decode_all(pairs: Pairs, modalities: dict[str, Modality], folder: Path) -> dict[str, Sequence[Array]]:
    """Decode every sample of every modality once.

    The arrays are kept in memory-mapped files in `folder`, some hundred samples in each, named by their content, the
    parameters and the decoders. A file is written aside and renamed, so that a killed or concurrent run leaves nothing
    half-written under its name, and what it finished is not decoded again.

    Raises:
        DataError: lists every sample that cannot be decoded.
        ConfigError: the folder cannot be written.
    """
    problems = RowProblems(pairs.rows)
    try:
        arrays = {name: _kept(modality, pairs.sources[name], folder, problems) for name, modality in modalities.items()}
    except OSError as error:
        raise ConfigError(f"--cache {folder} cannot be written: {error.strerror or error}") from None
    problems.check("the table")
    return arrays


def _kept(modality: Modality, sources: Sequence[Source], folder: Path, problems: RowProblems) -> Sequence[Array]:
    """One modality's decoded samples; of those with problems nothing is kept.

    Raises:
        OSError: the folder cannot be written.
    """
    ragged = None in modality.shape
    parts = [range(start, min(start + shards.SHARD, len(sources))) for start in range(0, len(sources), shards.SHARD)]
    parameters = _parameters(modality)
    paths = [folder / f"{modality.name}-{_key(parameters, [sources[row] for row in part])}" for part in parts]
    files = [shards.read(path, len(part), ragged) for path, part in zip(paths, parts, strict=True)]
    missing = [number for number, file in enumerate(files) if file is None]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        shards.sweep(folder)
        wanted = Chosen(sources, np.concatenate([np.asarray(parts[number]) for number in missing]))
        with closing(_decode(modality, wanted)) as decoded:
            found = _sorted_out(decoded, modality.name, (row for number in missing for row in parts[number]), problems)
            for number in missing:
                part, path = parts[number], paths[number]
                if shards.write(path, islice(found, len(part)), len(part), ragged):
                    files[number] = shards.read(path, len(part), ragged)
    return shards.Shards([file for file in files if file is not None])


def _sorted_out(
    decoded: Iterable[Array | str], name: str, rows: Iterable[int], problems: RowProblems
) -> Iterator[Array | None]:
    """The decoded samples; of one that cannot be decoded None, and what is wrong goes to `problems`."""
    for row, found in zip(rows, decoded, strict=True):
        if isinstance(found, str):
            problems.add(row, name, found)
        yield None if isinstance(found, str) else found


def _decode(modality: Modality, sources: Sequence[Source]) -> Generator[Array | str]:
    """Decoded samples in order; of one that cannot be decoded, what is wrong with it."""

    def one(source: Source) -> Array | str:
        try:
            return modality.decode(payload(source))
        except OSError as error:
            return f"expected a file that can be read, found one that cannot ({error.strerror or error})"
        except InvalidInput as error:
            return str(error)

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        queued: deque[Future[Array | str]] = deque()
        try:
            for source in track(sources, f"Reading {modality.name}", len(sources)):
                queued.append(pool.submit(one, source))  # a few ahead: decoded samples are large
                if len(queued) > AHEAD * cores:
                    yield queued.popleft().result()
            while queued:
                yield queued.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # an interruption does not wait for what is queued


def _parameters(modality: Modality) -> bytes:
    """What arrays depend on beside the samples: the modality's parameters and files, and what decodes."""
    digest = hashlib.sha256(json.dumps(modality.parameters(), sort_keys=True).encode())
    for name, content in sorted(modality.files().items()):
        digest.update(f"{name} {len(content)}".encode() + content)
    digest.update(_decoders())
    return digest.digest()


def _key(parameters: bytes, sources: Sequence[Source]) -> str:
    return hashlib.sha256(parameters + digest_of(sources)).hexdigest()[:24]


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
                digest.update(f"{_resolved(source)}|{status.st_size}|{status.st_mtime_ns}\n".encode())
            except OSError:  # decoding says so
                digest.update(f"{source}|absent\n".encode())
        else:
            digest.update(json.dumps(source).encode() + b"\n")
    return digest.digest()


def _resolved(path: Path) -> Path | str:
    """As `path.resolve()`, which looks at every folder on the way: here once for each folder."""
    return path.resolve() if path.is_symlink() else os.path.join(_resolved_folder(path.parent), path.name)


@lru_cache(1024)
def _resolved_folder(path: Path) -> str:
    return os.path.realpath(path)
