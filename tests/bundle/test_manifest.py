"""manifest.json: what a bundle says of itself, and everything that is refused on reading it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.errors import ManifestError
from bundle.manifest import FILE, GOLDEN, GRAPH, Expectation, Manifest, sha256
from bundle.modalities import Audio
from bundle.predictor import Predictor
from tests.bundles import build_bundle


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundles") / "image-text", ("image", "text"))


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "bundle"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / FILE).read_text())
    change(content)
    (folder / FILE).write_text(json.dumps(content))


def refusal(folder: Path) -> str:
    """The message with which the bundle is refused: one line."""
    with pytest.raises(ManifestError) as caught:
        Predictor(folder)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def test_a_manifest_is_read_back_as_it_was_written(built: Path) -> None:
    manifest = Manifest.read(built)
    assert manifest.modalities == ("image", "text")
    assert json.loads(manifest.to_json()) == json.loads((built / FILE).read_text())
    assert {name: modality.shape for name, modality in manifest.load_modalities(built).items()} == {
        "image": (3, 16, 16),
        "text": (None,),
    }


def test_a_manifest_that_is_not_json_cannot_be_written(built: Path) -> None:
    manifest = Manifest.read(built)
    broken = Manifest(manifest.name, manifest.labels, manifest.inputs, manifest.files, {"accuracy": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.to_json()


def test_a_folder_without_a_manifest_is_refused(folder: Path) -> None:
    (folder / FILE).unlink()
    assert "expected manifest.json in it, found none" in refusal(folder)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    assert "expected manifest.json" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "cannot be read" in refusal(tmp_path / "file")


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, True])
def test_another_schema_version_is_refused(folder: Path, version: object) -> None:
    rewrite(folder, lambda content: content.update(schema_version=version))
    message = refusal(folder)
    assert "schema version 2, found" in message or "schema_version: " in message


def test_a_missing_schema_version_is_refused(folder: Path) -> None:
    rewrite(folder, lambda content: content.pop("schema_version"))
    assert "expected schema version 2, found None" in refusal(folder)


@pytest.mark.parametrize("name", [GRAPH, GOLDEN, "tokenizer.json"])
def test_one_changed_byte_of_a_file_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"'{name}' was changed: expected sha256" in refusal(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / GRAPH).unlink()
    assert refusal(folder) == "'model.onnx': expected a file of the bundle, found none"


def test_a_folder_in_the_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "notes").mkdir()
    rewrite(folder, lambda content: content["files"].update(notes="0" * 64))
    assert refusal(folder) == "'notes': expected a file of the bundle, found none"


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "engines/../../outside", "{outside}"])
def test_a_path_outside_the_bundle_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    outside.write_text("secret")
    rewrite(folder, lambda content: content["files"].update({name.format(outside=outside): sha256(outside)}))
    assert "expected a file inside the bundle, found a path that leads outside" in refusal(folder)


def test_a_link_that_leads_outside_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    (folder / GRAPH).rename(outside)
    (folder / GRAPH).symlink_to(outside)
    assert refusal(folder) == "'model.onnx': expected a file inside the bundle, found a symbolic link"


def test_a_link_to_a_bundle_is_followed(folder: Path) -> None:
    link = folder.parent / "current"
    link.symlink_to(folder)
    assert Predictor(link).manifest.name == "image-text"


def test_links_in_a_circle_and_names_with_nul_are_refused(folder: Path) -> None:
    (folder / "circle").symlink_to("circle")
    rewrite(folder, lambda content: content["files"].update(circle="0" * 64))
    assert "'circle': expected a file" in refusal(folder)
    rewrite(folder, lambda content: (content["files"].pop("circle"), content["files"].update({"a\0b": "0" * 64})))
    assert "expected a file of the bundle" in refusal(folder)


def measured(**changed: float) -> dict[str, Any]:
    return {"accuracy": 0.75, "low": 0.5, "high": 0.875, "samples": 40} | changed


def test_what_was_measured_is_read_back(folder: Path) -> None:
    found = {"": measured(), "image": measured(samples=7), "image+text": measured(accuracy=0.875)}
    temperatures = {"fused": 1.5, "shares": {"text": 0.5}, "coalitions": {"": 3.0, "text": 0.25}}
    change = {"expectations": found, "calibration": temperatures, "shifts": {"image": 2.5}, "abstain_below": 0.5}
    rewrite(folder, lambda content: content.update(change))
    manifest = Predictor(folder).manifest
    assert manifest.expectations["image"] == Expectation(0.75, 0.5, 0.875, 7)
    assert manifest.calibration.of_coalitions(manifest.modalities) == [3.0, 1.0, 0.25, 1.5]
    assert (manifest.shifts, manifest.abstain_below) == ({"image": 2.5}, 0.5)
    assert json.loads(manifest.to_json()) == json.loads((folder / FILE).read_text())


@pytest.mark.parametrize("text", ["", "{", "not json", "\ufeff{}", '{"schema_version": NaN}', "[" * 100_000])
def test_what_is_not_json_is_refused(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)
    assert "expected JSON, found what cannot be read" in refusal(folder)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused_wherever_they_stand(folder: Path, value: str) -> None:
    text = (folder / FILE).read_text()
    (folder / FILE).write_text(text.replace('"fused": 1.0', f'"fused": {value}'))
    assert f"{value} is not JSON" in refusal(folder)


def test_a_manifest_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / FILE).write_bytes(b'{"name": "\xff"}')
    assert "cannot be read" in refusal(folder)


@pytest.mark.parametrize("text", ["[]", "1", '"text"', "null"])
def test_json_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)
    assert "expected a JSON object, found" in refusal(folder)


def test_values_that_are_not_json_are_refused_by_a_modality() -> None:
    with pytest.raises(ManifestError, match="parameters of audio: expected JSON values"):
        Audio.checked({"rate": object()})


def test_a_very_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ManifestError) as caught:
        Audio.checked({"rate": "x" * 100_000})
    assert len(str(caught.value)) < 300
