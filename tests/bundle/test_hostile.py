"""Hostile bundles: links, pipes, files and numbers of absurd size are refused before anything is read or made."""

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from bundle.errors import ManifestError, SelfCheckFailed
from bundle.manifest import FILE, GOLDEN, GRAPH, sha256
from bundle.predictor import Predictor
from bundle.selfcheck import read_golden, selfcheck
from tests.bundles import build_bundle
from tests.serving.samples import rehash


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
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [GRAPH, GOLDEN, "tokenizer.json"])
def test_a_link_inside_the_bundle_is_refused_like_any_other(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "elsewhere")
    (folder / name).symlink_to("elsewhere")
    assert refusal(folder) == f"'{name}': expected a file inside the bundle, found a symbolic link"


def test_a_manifest_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / FILE).rename(folder / "elsewhere")
    (folder / FILE).symlink_to("elsewhere")
    assert refusal(folder) == "'manifest.json': expected a file inside the bundle, found a symbolic link"


def test_a_linked_folder_inside_the_bundle_is_refused(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "notes").write_text("notes")
    rewrite(folder, lambda content: content["files"].update({"real/notes": sha256(folder / "real" / "notes")}))
    assert Predictor(folder).manifest.name == "image-text"
    (folder / "real").rename(folder.parent / "outside")
    (folder / "real").symlink_to(folder.parent / "outside")
    assert refusal(folder) == "'real/notes': expected a file inside the bundle, found a symbolic link"


@pytest.mark.parametrize("name", [FILE, GRAPH, GOLDEN, "tokenizer.json"])
def test_a_pipe_is_refused_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert refusal(folder) == f"'{name}': expected a regular file, found a pipe, socket or device"


def test_a_tokenizer_that_the_manifest_does_not_list_is_not_read(folder: Path) -> None:
    rewrite(folder, lambda content: content["files"].pop("tokenizer.json"))
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    assert "tokenizer.json" in refusal(folder)


@pytest.mark.parametrize("name", ["./notes", "a//notes", "notes/", "", ".", "no\ntes", "C:notes", "a\\notes"])
def test_a_name_that_is_no_plain_path_is_refused(folder: Path, name: str) -> None:
    (folder / "notes").write_text("notes")
    rewrite(folder, lambda content: content["files"].update({name: sha256(folder / "notes")}))
    assert f"{name!r}: expected a file" in refusal(folder)


def test_a_file_listed_twice_by_its_case_is_refused(folder: Path) -> None:
    (folder / "Model.ONNX").write_bytes((folder / GRAPH).read_bytes())
    rewrite(folder, lambda content: content["files"].update({"Model.ONNX": sha256(folder / GRAPH)}))
    assert refusal(folder) == "files: expected each file once, found 'model.onnx' and 'Model.ONNX'"


@pytest.mark.parametrize(
    ("name", "size"), [(FILE, (1 << 26) + 1), (GRAPH, 1 << 40), (GOLDEN, 1 << 40), (GRAPH, 1 << 31)]
)
def test_a_file_of_absurd_size_is_refused_before_it_is_read(folder: Path, name: str, size: int) -> None:
    os.truncate(folder / name, size)
    assert refusal(folder).endswith(f", found {size:,}")


def test_a_tokenizer_of_absurd_size_is_refused(folder: Path) -> None:
    os.truncate(folder / "tokenizer.json", (1 << 27) + 1)
    rewrite(folder, lambda content: content["files"].update({"tokenizer.json": sha256(folder / "tokenizer.json")}))
    assert "at most 134,217,728 bytes, found 134,217,729" in refusal(folder)


@pytest.mark.parametrize("depth", [150, 300, 900, 20_000])
def test_a_deep_tokenizer_is_refused(folder: Path, depth: int) -> None:
    (folder / "tokenizer.json").write_text("[" * depth + "]" * depth)
    rewrite(folder, lambda content: content["files"].update({"tokenizer.json": sha256(folder / "tokenizer.json")}))
    assert "tokenizer.json is not a tokenizer" in refusal(folder)


@pytest.mark.parametrize("depth", [300, 900, 20_000])
def test_a_deep_manifest_is_refused(folder: Path, depth: int) -> None:
    text = (folder / FILE).read_text()
    nested = '{"a":' * depth + "1" + "}" * depth
    (folder / FILE).write_text(text.replace('"generated by a test"', nested))
    assert "manifest.json: " in refusal(folder)


ABSURD: list[tuple[str, dict[str, Any]]] = [
    ("video", {"frames": 1024, "size": 4096, "fit": "crop", "channels": 3}),
    ("audio", {"rate": 768_000, "seconds": 600.0, "window": 400, "hop": 160, "bins": 64, "mean": 0.0, "std": 1.0}),
    ("audio", {"rate": 16_000, "seconds": 600.0, "window": 400, "hop": 1, "bins": 64, "mean": 0.0, "std": 1.0}),
    ("audio", {"rate": 16_000, "seconds": 60.0, "window": 60_000, "hop": 1, "bins": 0, "mean": 0.0, "std": 1.0}),
]


@pytest.mark.parametrize(("modality", "parameters"), ABSURD)
def test_parameters_that_would_fill_the_memory_are_refused(
    folder: Path, modality: str, parameters: dict[str, Any]
) -> None:
    def change(content: dict[str, Any]) -> None:
        shape = [1024, 3, 4096, 4096]
        content["inputs"][0].update(modality=modality, parameters=parameters, shape=shape, dtype="uint8")

    rewrite(folder, change)
    message = refusal(folder)
    assert "268,435,456 elements" in message or "to 268435456, found" in message


@pytest.mark.parametrize("count", [9, 40, 5_000])
def test_more_inputs_than_there_can_be_coalitions_of_are_refused_at_once(folder: Path, count: int) -> None:
    def change(content: dict[str, Any]) -> None:
        content["inputs"] = [{**content["inputs"][0], "name": f"image_{number}"} for number in range(count)]

    rewrite(folder, change)
    assert refusal(folder) == f"expected at most 8 inputs, found {count:,}"


def write_zip(path: Path, entries: dict[str, bytes], stated: int | None = None) -> None:
    """A zip of these files; with `stated`, each says that it is of so many bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    if stated is not None:
        whole = bytearray(path.read_bytes())
        for magic, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
            for found in re.finditer(re.escape(magic), bytes(whole)):
                whole[found.start() + place : found.start() + place + 4] = stated.to_bytes(4, "little")
        path.write_bytes(whole)


def array_file(shape: tuple[int, ...], dtype: str = "<f4", content: bytes = b"\0" * 16) -> bytes:
    """A .npy whose header may promise anything."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": dtype})
    return buffer.getvalue() + content


HOSTILE_ARRAYS = {
    "a huge array": array_file((1 << 40,)),
    "a huge array of two axes": array_file((1 << 40, 1 << 40)),
    "elements of no size": array_file((1 << 60,), "<U0"),
    "an array a little over": array_file((5,)),
    "objects": array_file((2,), "|O"),
    "no array": b"text",
}


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_golden_samples_that_promise_more_than_they_hold_are_refused(folder: Path, name: str) -> None:
    write_zip(folder / GOLDEN, {"0/array/image.npy": HOSTILE_ARRAYS[name]})
    rehash(folder)
    with pytest.raises(SelfCheckFailed, match=r"golden\.npz: expected arrays, found what cannot be read"):
        selfcheck(Predictor(folder))


def test_golden_samples_that_unpack_to_gigabytes_are_refused_before_they_do(tmp_path: Path) -> None:
    entries = {f"{index}/array/image.npy": array_file((1 << 24,), "|u1", bytes(1 << 24)) for index in range(17)}
    write_zip(tmp_path / GOLDEN, entries)
    assert (tmp_path / GOLDEN).stat().st_size < 1 << 20
    with pytest.raises(SelfCheckFailed, match="bytes, of at most 268,435,456"):
        read_golden(tmp_path / GOLDEN)
    write_zip(tmp_path / GOLDEN, entries, stated=1 << 10)
    with pytest.raises(SelfCheckFailed, match="cannot be read"):
        read_golden(tmp_path / GOLDEN)


def test_golden_samples_are_what_numpy_reads(built: Path) -> None:
    found = read_golden(built / GOLDEN)
    with np.load(built / GOLDEN, allow_pickle=False) as expected:
        assert list(found) == expected.files
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name])
