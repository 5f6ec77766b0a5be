"""Trainings of all three pairings on generated files, and the bundles made of them, each made once for the session."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from export import acceptance
from export.__main__ import main as export
from tests.bundles import PAIRINGS
from tests.conftest import ROOT
from training.checkpoint import Checkpoint, read
from training.fit import main as fit

SMALL = {
    "audio": "--audio.encoder.width 16",
    "video": "--video.size 24 --video.encoder.width 16",
    "image": "--image.size 24 --image.encoder.width 16",
    "text": "--text.encoder.width 16 --text.encoder.layers 1 --text.encoder.heads 2",
    "pathology": "--pathology.size 24 --pathology.encoder.width 16",
    "genomics": "",
}
LEARNING = "--epochs 40 --learning-rate 0.05 --keep last"
"""Enough to be of an opinion: where all classes are alike, any arithmetic would change labels."""
FEWER = {"int8": "--quantize", "fp16": "--precision", "bf16": "--precision"}
"""Options that ask for fewer than 32 bits."""


@dataclass(frozen=True)
class Trained:
    run: Checkpoint
    bundle: Path
    table: Path


@cache
def checkout(base: Path) -> Path:
    """A folder with a space in its path, from which the programs of this checkout run.

    Args:
        base: the session's folder for temporary files; a factory of such folders cannot be remembered by.
    """
    folder = base / "pipeline" / "my check out"
    folder.mkdir(parents=True)
    for package in ("bundle", "serving"):
        (folder / package).symlink_to(ROOT / package)
    return folder


@cache
def trained(base: Path) -> dict[tuple[str, ...], Trained]:
    """Train and export in the working folder, with paths as a user types them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout(base))
        return {pairing: _train(pairing) for pairing in PAIRINGS}


def _train(modalities: tuple[str, ...]) -> Trained:
    name = "-".join(modalities)
    options = " ".join(SMALL[modality] for modality in modalities).split()
    options += ["--dataset.folder", "data", "--dataset.samples", "80", "--modalities", *modalities]
    assert fit([*options, *LEARNING.split(), "--out", f"runs/{name}"]) == 0
    assert export([f"runs/{name}", "--to", f"bundles/{name}"]) == 0
    [table] = Path("data").glob(f"{name}-*/table.csv")
    return Trained(read(Path("runs", name).resolve()), Path("bundles", name).resolve(), table.resolve())


@cache
def bundle(base: Path, pairing: tuple[str, ...], precision: str) -> Path:
    """The bundle of a pairing in a precision; what fewer bits cost is not held against so small a training."""
    found = trained(base)[pairing]
    if precision == "fp32":
        return found.bundle
    return _exported(base, pairing, f"bundles/{found.bundle.name}-{precision}", FEWER[precision], precision)


@cache
def with_engine(base: Path, pairing: tuple[str, ...], precision: str, only_checked: bool) -> Path:
    """The bundle of a pairing for TensorRT: with an engine, or with what is built without a card."""
    check = ["--tensorrt-check"] if only_checked else []
    target = f"bundles/{'-'.join(pairing)}-tensorrt-{precision}{'-checked' * only_checked}"
    return _exported(base, pairing, target, "--tensorrt", precision, *check)


def _exported(base: Path, pairing: tuple[str, ...], target: str, *options: str) -> Path:
    found = trained(base)[pairing]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout(base))
        for limit in ("LARGEST_DROP", "LARGEST_RISE"):
            patch.setattr(acceptance, limit, 1.0)
        assert export([f"runs/{found.bundle.name}", "--to", target, *options]) == 0
    return (checkout(base) / target).resolve()
