"""From pairs of files to decoded arrays: parameters fitted on the training split, every bad row said at once."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from bundle.errors import InvalidInput
from bundle.modalities import Array, Modality
from training.errors import DataError
from training.pairs import Pairs, Source, payload
from training.progress import track


@dataclass(frozen=True)
class Prepared:
    """Decoded samples and the preprocessing that belongs to them."""

    pairs: Pairs
    modalities: dict[str, Modality]
    arrays: dict[str, Sequence[Array]]
    """By modality, one decoded array for each sample."""


def decode_all(pairs: Pairs, modalities: dict[str, Modality], cache: Path) -> dict[str, Sequence[Array]]:
    """Decode every sample of every modality once.

    Arrays of fixed shape are kept in memory-mapped files under `cache`, named by content and parameters; a file is
    written aside and renamed, so that a killed or concurrent run leaves nothing half-written.

    Raises:
        DataError: lists every sample that cannot be decoded.
    """
    arrays: dict[str, Sequence[Array]] = {}
    bad: list[tuple[int, str]] = []
    for name, modality in modalities.items():
        sources = pairs.sources[name]
        path = cache / f"{name}-{_key(modality, sources)}.npy"
        if path.exists():
            arrays[name] = cast(Sequence[Array], np.load(path, mmap_mode="r"))
            continue
        decoded, failures = _decode(name, modality, sources, pairs.rows)
        bad += failures
        if failures:
            continue
        if None in modality.shape:
            arrays[name] = decoded
        else:
            arrays[name] = cast(Sequence[Array], _keep(decoded, path))
    if bad:
        raise DataError(
            f"{len({index for index, _ in bad})} rows cannot be decoded:", [line for _, line in sorted(bad)]
        )
    return arrays


def _decode(
    name: str, modality: Modality, sources: Sequence[Source], rows: Sequence[str]
) -> tuple[list[Array], list[tuple[int, str]]]:
    def one(index: int) -> Array | str:
        try:
            return modality.decode(payload(sources[index]))
        except OSError as error:
            return f"{rows[index]}, {name}: the file cannot be read ({error.strerror})"
        except InvalidInput as error:
            return f"{rows[index]}, {name}: {error}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(track(pool.map(one, range(len(sources))), f"Reading {name}", len(sources)))
    good = [entry for entry in found if not isinstance(entry, str)]
    return good, [(index, entry) for index, entry in enumerate(found) if isinstance(entry, str)]


def _keep(decoded: list[Array], path: Path) -> Array:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.part")
    stacked = np.lib.format.open_memmap(aside, "w+", decoded[0].dtype, (len(decoded), *decoded[0].shape))
    for index, array in enumerate(decoded):
        stacked[index] = array
    stacked.flush()
    os.replace(aside, path)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def _key(modality: Modality, sources: Sequence[Source]) -> str:
    digest = hashlib.sha256(json.dumps(modality.parameters(), sort_keys=True).encode())
    for content in modality.files().values():
        digest.update(content)
    for source in sources:
        if isinstance(source, Path):
            status = source.stat()
            digest.update(f"{source.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode())
        else:
            digest.update(json.dumps(source).encode())
    return digest.hexdigest()[:24]
