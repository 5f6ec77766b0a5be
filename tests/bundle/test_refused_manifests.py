"""Everything in a manifest that is refused, one change at a time, each in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.manifest import GOLDEN, GRAPH
from tests.bundle.test_manifest import refusal, rewrite
from tests.bundles import build_bundle

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundles") / "image-text", ("image", "text"))


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "bundle"))


def first_input(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["inputs"][0]
    return found


def measured(**changed: float) -> dict[str, Any]:
    return {"accuracy": 0.75, "low": 0.5, "high": 0.875, "samples": 40} | changed


REFUSED: list[tuple[Change, str]] = [
    (lambda content: first_input(content).update(modality="smell"), "expected a modality among audio, video"),
    (lambda content: first_input(content).update(name="model"), "expected an input name"),
    (lambda content: first_input(content).update(name="logits"), "expected an input name"),
    (lambda content: first_input(content).update(name="an image"), "expected an input name"),
    (lambda content: first_input(content).update(name=""), "expected an input name"),
    (lambda content: first_input(content).update(name="text"), "expected distinct inputs"),
    (lambda content: first_input(content).update(name="picture"), "model.onnx: expected inputs"),
    (lambda content: first_input(content).update(dtype="float32"), "input 'image': expected uint8"),
    (lambda content: first_input(content).update(shape=[3, 8, 8]), "input 'image': expected uint8 (3, 16, 16)"),
    (lambda content: first_input(content).update(shape="3"), "inputs.0.shape: "),
    (lambda content: first_input(content).update(unknown=1), "inputs.0.unknown: expected no field of this name"),
    (lambda content: first_input(content).pop("modality"), "inputs.0.modality: expected a value, found nothing"),
    (lambda content: first_input(content)["parameters"].update(size=0), "size: expected a whole number from 1"),
    (lambda content: first_input(content)["parameters"].update(size="16"), "size: Input should be a valid integer"),
    (lambda content: first_input(content)["parameters"].update(size=16.5), "size: Input should be a valid integer"),
    (lambda content: first_input(content)["parameters"].update(zoom=2), "zoom: expected no field of this name"),
    (lambda content: first_input(content)["parameters"].update(fit="stretch"), "'crop', 'pad' or 'squash', found"),
    (lambda content: content["inputs"][1]["parameters"].update(max_length=0), "max_length: expected"),
    (lambda content: content.update(inputs=[]), "expected distinct inputs, found []"),
    (lambda content: content.update(inputs={}), "inputs: "),
    (lambda content: content.update(name=7), "name: Input should be a valid string, found 7"),
    (lambda content: content.update(name="  "), "name: expected one, found an empty text"),
    (lambda content: content.update(extra=1), "extra: expected no field of this name"),
    (lambda content: content.pop("labels"), "labels: expected a value, found nothing"),
    (lambda content: content.update(labels=["one"]), "expected two or more distinct labels, found ['one']"),
    (lambda content: content.update(labels=["a", "b", "a"]), "expected two or more distinct labels"),
    (lambda content: content.update(labels=["a", "b"]), "of shape ('batch', 2), 2 being the labels, found"),
    (lambda content: content.update(labels=["a", "b", "c", "d"]), "of shape ('batch', 4), 4 being the labels, found"),
    (lambda content: content.update(labels=["a", "b", 3]), "labels.2: Input should be a valid string, found 3"),
    (lambda content: content["files"].pop(GRAPH), "files: expected model.onnx among them"),
    (lambda content: content["files"].pop(GOLDEN), "files: expected golden.npz among them"),
    (lambda content: content["files"].pop("tokenizer.json"), "files: expected tokenizer.json for input 'text'"),
    (lambda content: content["files"].update({GRAPH: None}), "files.model.onnx: Input should be a valid string"),
    (lambda content: content["calibration"].update(fused=0.0), "calibration: expected temperatures from 1e-09"),
    (lambda content: content["calibration"].update(fused=-1), "calibration: expected temperatures from 1e-09"),
    (lambda content: content["calibration"].update(fused="1"), "calibration.fused: Input should be a valid number"),
    (lambda content: content["calibration"].update(fused=True), "calibration.fused: Input should be a valid number"),
    (
        lambda content: content["calibration"].update(shares={"sound": 1.0}),
        "calibration.shares: expected names among image, text, found ['sound']",
    ),
    (
        lambda content: content["calibration"].update(shares={"text": 0}),
        "calibration: expected temperatures from 1e-09",
    ),
    (lambda content: content["calibration"].update(fused=1e-12), "found (1e-12,)"),
    (lambda content: content["calibration"].update(coalitions={"image+text": 1.0}), "calibration.coalitions: expected"),
    (lambda content: content["calibration"].update(coalitions={"text+image": 1.0}), "found ['text+image']"),
    (lambda content: content["calibration"].update(coalitions={"": -1.0}), "temperatures from 1e-09 to 1e+09, found"),
    (lambda content: content.update(expectations={"sound": measured()}), "expectations: expected names among image,"),
    (lambda content: content.update(expectations={"text": measured(low=0.8)}), "accuracy within its interval, found"),
    (lambda content: content.update(expectations={"text": measured(high=0.7)}), "accuracy within its interval, found"),
    (lambda content: content.update(expectations={"": measured(low=-0.1)}), "accuracy within its interval, found"),
    (lambda content: content.update(expectations={"": measured(high=1.1)}), "accuracy within its interval, found"),
    (lambda content: content.update(expectations={"": measured(samples=0)}), "accuracy within its interval, found"),
    (lambda content: content.update(expectations={"": {"accuracy": 1}}), "expectations..low: expected a value"),
    (lambda content: content.update(shifts={"image+text": 1.0}), "shifts: expected names among image, text, found"),
    (lambda content: content.update(shifts={"text": 0}), "shifts: expected distances from 1e-09"),
    (lambda content: content.update(shifts={"text": 1e10}), "shifts: expected distances from 1e-09"),
    (lambda content: content.update(shifts=[1]), "shifts: Input should be an object"),
    (lambda content: content.update(abstain_below=1.5), "abstain_below: expected a probability, found 1.5"),
    (lambda content: content.update(abstain_below=-0.5), "abstain_below: expected a probability, found -0.5"),
    (lambda content: content.update(abstain_below="0.5"), "abstain_below: Input should be a valid number"),
    (lambda content: first_input(content).update(name="present"), "expected an input name"),
    (lambda content: first_input(content).update(name="require_all"), "expected an input name"),
    (lambda content: first_input(content).update(name="abstain_below"), "expected an input name"),
    (lambda content: first_input(content).update(name="coalitions"), "expected an input name"),
    (lambda content: first_input(content).update(name="image+text"), "expected an input name"),
    (lambda content: content["tolerance"].update(arrays=-1e-3), "tolerance.arrays: expected a number from 0"),
    (lambda content: content["tolerance"].update(probabilities=1.0), "tolerance.probabilities: expected a number"),
    (lambda content: content.update(provenance=[]), "provenance: "),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_manifest_that_does_not_fit_is_refused_in_one_line(folder: Path, change: Change, message: str) -> None:
    rewrite(folder, change)
    assert message in refusal(folder)
