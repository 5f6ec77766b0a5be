"""Replay a bundle's golden samples: `python -m bundle.selfcheck DIR [--providers tensorrt cuda] [--require-gpu]`."""

import math
import sys
import zipfile
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from bundle.answer import SHIFT, probabilities
from bundle.checking import one_line
from bundle.errors import BundleError, InvalidInput, SelfCheckFailed
from bundle.execution import LOOSER, PROVIDERS, Execution
from bundle.files import opened
from bundle.manifest import GOLDEN, Manifest
from bundle.modalities import Array
from bundle.predictor import Arrays, Predictor

SAMPLES = 4
LARGEST = 1 << 28
"""Bytes of all golden arrays together."""
DECODERS = ("pillow", "av", "soundfile", "tokenizers", "numpy")
"""Libraries whose version may change what a payload decodes to."""


def write_golden(predictor_arrays: list[Arrays], payloads: list[dict[str, bytes]], outputs: Arrays, path: Path) -> None:
    """Store payloads, their arrays and the graph's outputs, without pickle."""
    entries: dict[str, Array] = {f"output/{name}": values for name, values in outputs.items()}
    for index, (arrays, sample) in enumerate(zip(predictor_arrays, payloads, strict=True)):
        for name, array in arrays.items():
            entries[f"{index}/array/{name}"] = array
            entries[f"{index}/payload/{name}"] = np.frombuffer(sample[name], dtype=np.uint8)
    np.savez_compressed(path, **entries)  # type: ignore[arg-type]


def golden_payloads(golden: dict[str, Array], names: tuple[str, ...]) -> list[dict[str, bytes]]:
    """The stored payloads, one mapping of input name to bytes for each sample, which may lack inputs."""
    samples: list[dict[str, bytes]] = []
    while True:
        found = {name: golden[key].tobytes() for name in names if (key := f"{len(samples)}/payload/{name}") in golden}
        if not found:
            return samples
        samples.append(found)


def read_golden(path: Path) -> dict[str, Array]:
    """Every array of golden.npz; pickled objects are refused, not loaded, and nothing is unpacked of unknown size.

    Raises:
        SelfCheckFailed: it cannot be read.
    """
    try:
        with opened(path.parent, path.name) as file, zipfile.ZipFile(file) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
            if total > LARGEST:
                raise ValueError(f"{total:,} bytes, of at most {LARGEST:,}")
            return {entry.filename.removesuffix(".npy"): _read_array(archive, entry) for entry in archive.infolist()}
    except Exception as error:  # the readers of zip and npy raise many types
        raise SelfCheckFailed(f"{path.name}: expected arrays, found what cannot be read ({one_line(error)})") from None


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as file:
        major, minor = npy.read_magic(file)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, _, dtype = readers[major, minor](file)
    if math.prod(shape) * max(1, dtype.itemsize) > entry.file_size and not dtype.hasobject:  # numpy refuses objects
        raise ValueError(f"{entry.filename} promises {dtype} {shape} in {entry.file_size:,} bytes")
    with archive.open(entry) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def selfcheck(predictor: Predictor) -> int:
    """Replay the golden samples of a loaded bundle; returns how many.

    Raises:
        SelfCheckFailed: an array or a probability differs by more than the manifest's tolerance.
    """
    tolerance, running = predictor.manifest.tolerance, predictor.running
    coarser = running.precision if running.precision != predictor.manifest.precision else ""
    probable = max(tolerance.probabilities, LOOSER.get(coarser, 0.0))
    golden = read_golden(predictor.folder / GOLDEN)
    payloads = golden_payloads(golden, predictor.manifest.modalities)
    if not payloads:
        raise SelfCheckFailed(f"{GOLDEN} holds no sample")
    batch = []
    for index, payload in enumerate(payloads):
        try:
            arrays = predictor.prepare(payload)
        except InvalidInput as error:
            raise SelfCheckFailed(f"sample {index} is refused: {error}") from None
        for name, array in arrays.items():
            try:
                _compare_arrays(f"sample {index}, {name}", array, golden.get(f"{index}/array/{name}"), tolerance.arrays)
            except SelfCheckFailed as error:
                raise SelfCheckFailed(f"{error}{_other_decoders(predictor.manifest)}") from None
        batch.append(arrays)
    found = predictor.run(batch)
    stored = {name.removeprefix("output/"): array for name, array in golden.items() if name.startswith("output/")}
    if set(found) != set(stored):
        raise SelfCheckFailed(f"the graph gives {sorted(found)}, {GOLDEN} holds {sorted(stored)}")
    for name, values in found.items():
        _compare_kinds(f"output {name}", values, stored[name])
    known = (predictor.present(batch), predictor.manifest.calibration, predictor.manifest.modalities)
    again, expected = (probabilities(outputs, *known) for outputs in (found, stored))
    for outputs, kept in ((found, again), (stored, expected)):
        kept |= {
            name: values / (1 + np.abs(stored[name])) for name, values in outputs.items() if name.startswith(SHIFT)
        }
    for name, values in again.items():
        _compare_arrays(f"output {name}", values, expected[name], probable)
    return len(payloads)


def _other_decoders(manifest: Manifest) -> str:
    """What to add to an error about decoded values: which libraries are of other versions than the maker's."""
    stated = manifest.provenance.get("versions")
    known = stated if isinstance(stated, dict) else {}
    there = {name: metadata.version(name) for name in DECODERS if name in known}
    others = [f"{name} {found} (made with {known[name]})" for name, found in there.items() if found != known[name]]
    return f"; other versions decode otherwise, here are {', '.join(others)}" if others else ""


def _compare_kinds(what: str, found: Array, expected: Array | None) -> Array:
    if expected is None or found.shape != expected.shape or found.dtype != expected.dtype:
        stored = "nothing" if expected is None else f"{expected.dtype} {expected.shape}"
        raise SelfCheckFailed(f"{what}: expected {stored} as stored, found {found.dtype} {found.shape}")
    return expected


def _compare_arrays(what: str, found: Array, expected: Array | None, tolerance: float) -> None:
    expected = _compare_kinds(what, found, expected)
    limit = tolerance if found.dtype.kind == "f" else 0.0
    difference = float(np.max(np.abs(found.astype(np.float64) - expected), initial=0.0))
    if not difference <= limit:
        raise SelfCheckFailed(f"{what}: expected a difference of at most {limit:.2g}, found {difference:.2g}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the bundle named on the command line."""
    parser = ArgumentParser(prog="python -m bundle.selfcheck", description="Replay a bundle's golden samples.")
    parser.add_argument("bundle", type=Path, help="its folder")
    parser.add_argument(
        "--providers", nargs="+", choices=PROVIDERS, default=["cpu"], help="where it may run, best first"
    )
    parser.add_argument("--require-gpu", action="store_true", help="fail rather than run on the CPU")
    options = parser.parse_args(arguments)
    try:
        predictor = Predictor(options.bundle, Execution(tuple(options.providers), options.require_gpu))
        count = selfcheck(predictor)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    running = predictor.running
    for target, reason in predictor.refused.items():
        print(f"not on {target}: {reason}", file=sys.stderr)
    where = running.provider if running.target == "cpu" else f"{running.provider}, {running.device}"
    print(f"{predictor.manifest.name}: {count} golden samples reproduced on {where} in {running.precision}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
