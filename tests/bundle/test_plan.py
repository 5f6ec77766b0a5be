"""The manifest's entries of TensorRT engines, and everything of them that is refused."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bundle.errors import ManifestError
from bundle.manifest import FILE, Manifest, sha256
from bundle.plan import Plan, Proof, Range
from tests.bundles import build_bundle

NAME = "engines/fp16-sm90.plan"
RANGES = {
    "image": Range((1, 3, 16, 16), (8, 3, 16, 16), (32, 3, 16, 16)),
    "text": Range((1, 1), (8, 12), (32, 12)),
    "present": Range((1, 2), (8, 2), (32, 2)),
}
PLAN = Plan(NAME, "fp16", "10.16.1.11", "9.0", "NVIDIA H100", "ab" * 32, RANGES, Proof(200, 0.001, 0.02, 1))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """With one engine."""
    folder = build_bundle(tmp_path / "bundle", ("image", "text"))
    (folder / "engines").mkdir()
    (folder / NAME).write_bytes(b"an engine")
    content = json.loads((folder / FILE).read_text())
    content["files"][NAME] = sha256(folder / NAME)
    content["engines"] = [asdict(PLAN)]
    (folder / FILE).write_text(json.dumps(content))
    return folder


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / FILE).read_text())
    change(content)
    (folder / FILE).write_text(json.dumps(content))


def test_an_engine_is_read_back_as_it_was_written(bundle: Path) -> None:
    manifest = Manifest.read(bundle)
    assert manifest.engines == (PLAN,)
    (bundle / FILE).write_text(manifest.to_json())
    assert Manifest.read(bundle) == manifest


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("file", "engines/absent.plan", "expected it among files"),
        ("file", "fp16.plan", "expected each engine once, as engines/NAME.plan"),
        ("file", "engines/fp16.onnx", "expected each engine once, as engines/NAME.plan"),
        ("graph", "ab", "expected the sha256 of its graph"),
        ("compute_capability", "SM90", "a compute capability such as 9.0"),
        ("precision", "fp8", "precision"),
        ("tensorrt", 10, "tensorrt"),
        ("proof", {"samples": 0, "difference": 0.0, "tolerance": 0.1, "ties": 0}, "a proof within its tolerance"),
        ("proof", {"samples": 1, "difference": 0.2, "tolerance": 0.1, "ties": 0}, "a proof within its tolerance"),
        ("another", 1, "expected no field of this name"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(bundle: Path, key: str, value: object, said: str) -> None:
    changed(bundle, lambda content: content["engines"][0].update({key: value}))
    with pytest.raises(ManifestError, match=said):
        Manifest.read(bundle)


def test_an_engine_stated_twice_is_refused(bundle: Path) -> None:
    changed(bundle, lambda content: content.update(engines=content["engines"] * 2))
    with pytest.raises(ManifestError, match="expected each engine once"):
        Manifest.read(bundle)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"least": [1, 1], "usual": [8, 2], "most": [32, 2]}, ""),
        ({"least": [8, 2], "usual": [1, 2], "most": [32, 2]}, "expected growing shapes of 1 or more of present"),
        ({"least": [0, 2], "usual": [8, 2], "most": [32, 2]}, "expected growing shapes of 1 or more of present"),
        ({"least": [1], "usual": [8, 2], "most": [32, 2]}, "expected growing shapes of 1 or more of present"),
        ({"least": [], "usual": [], "most": []}, "expected growing shapes of 1 or more of present"),
        ({"least": [1, 2], "usual": [8, 2], "most": [16, 2]}, "expected one range of batches for all inputs"),
    ],
)
def test_ranges_that_no_batch_fits_into_are_refused(bundle: Path, found: dict[str, list[int]], said: str) -> None:
    changed(bundle, lambda content: content["engines"][0]["ranges"].update(present=found))
    if not said:
        Manifest.read(bundle)
        return
    with pytest.raises(ManifestError, match=said):
        Manifest.read(bundle)


def test_ranges_of_other_inputs_are_refused(bundle: Path) -> None:
    changed(bundle, lambda content: content["engines"][0]["ranges"].pop("text"))
    with pytest.raises(ManifestError, match=r"expected ranges of \['image', 'present', 'text'\]"):
        Manifest.read(bundle)
