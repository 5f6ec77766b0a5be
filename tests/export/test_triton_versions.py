"""Versions of a model in a Triton repository, and the command that writes them."""

from pathlib import Path

import pytest

from bundle.manifest import FILE, sha256
from export.__main__ import main
from export.errors import ExportError
from export.to_triton import CONFIG, to_triton
from export.triton_config import DIGEST, FLAVOURS, LABELS, TritonOptions
from tests.bundles import build_bundle
from tests.export.test_triton import DEFAULT, config_of


def test_another_bundle_of_the_name_is_the_next_version_and_the_same_one_is_not(tmp_path: Path) -> None:
    first = build_bundle(tmp_path / "a", ("image", "text"), name="both")
    second = build_bundle(tmp_path / "b", ("image", "text"), name="both", seed=1)
    repository = tmp_path / "repository"
    for bundle, version in ((first, 1), (second, 2), (first, 1), (second, 2)):
        for written in to_triton(bundle, repository, TritonOptions(max_batch=version)):
            assert written.version == version
            config = config_of(written.folder)
            assert config.max_batch_size == version, "the latest options count"
            replayed = config.model_warmup[0].inputs["image"].input_data_file
            assert (written.folder / "warmup" / replayed).is_file()
            assert (written.folder / str(version) / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()
    for flavour in FLAVOURS:
        folder = repository / flavour / "both"
        stated = config_of(folder).parameters
        for number, bundle in ((1, first), (2, second)):
            assert stated[f"{DIGEST}{number}"].string_value == sha256(bundle / FILE)
        assert sorted(path.name for path in folder.iterdir()) == ["1", "2", CONFIG, LABELS, "warmup"]
    assert sorted(path.name for path in repository.iterdir()) == sorted(FLAVOURS), "nothing is left beside"


def test_versions_of_a_model_share_inputs_outputs_and_labels(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    to_triton(build_bundle(tmp_path / "a", ("image", "text"), name="both"), repository, DEFAULT)
    others = {
        "input": build_bundle(tmp_path / "b", ("audio", "video"), name="both"),
        "output": build_bundle(tmp_path / "c", ("image", "text"), labels=("a", "b"), name="both"),
        "labels": build_bundle(tmp_path / "d", ("image", "text"), labels=("a", "b", "c"), name="both"),
    }
    for what, bundle in others.items():
        with pytest.raises(ExportError, match=f"is there with another {what}, which all versions share"):
            to_triton(bundle, repository, DEFAULT)
    (repository / "prod" / "both" / CONFIG).write_text("name: 3")
    with pytest.raises(ExportError, match="is there and none of ours"):
        to_triton(others["input"], repository, DEFAULT)
    assert [path.name for path in (repository / "portable" / "both").iterdir() if path.name.isdecimal()] == ["1"]


def test_a_failed_write_leaves_no_model_and_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, name: str) -> bytes:
        raise OSError("no space left")

    repository = tmp_path / "repository"
    bundles = [build_bundle(tmp_path / str(seed), ("image", "text"), name="both", seed=seed) for seed in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr("export.to_triton.read", full)
        with pytest.raises(OSError, match="no space"):
            to_triton(bundles[0], repository, DEFAULT)
    assert [path.name for path in repository.rglob("*")] == ["prod"]
    to_triton(bundles[0], repository, DEFAULT)
    before = config_of(repository / "prod" / "both")
    monkeypatch.setattr("export.to_triton.read", full)
    with pytest.raises(OSError, match="no space"):
        to_triton(bundles[1], repository, DEFAULT)
    assert config_of(repository / "prod" / "both") == before
    assert [path.name for path in (repository / "prod" / "both").iterdir() if path.name.isdecimal()] == ["1"]
    assert sorted(path.name for path in repository.iterdir()) == sorted(FLAVOURS)


def test_the_command_line_takes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = build_bundle(tmp_path / "bundle", ("image", "text"))
    repository = tmp_path / "repository"
    arguments = [str(bundle), "--triton", str(repository), "--name", "mine", "--triton-model.flavours", "portable"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{repository / 'portable' / 'mine'}: version 1\n"
    refused: list[tuple[list[str], str]] = [
        ([], "is a bundle already: --triton REPOSITORY"),
        (["--to", str(tmp_path / "x"), "--triton", str(repository)], "is a bundle already"),
        (["--triton", str(repository), "--triton-model.instances", "0"], "instances: expected 1 or more"),
        (["--triton", str(repository), "--name", "no name"], "a model of Triton is a folder"),
    ]
    for further, message in refused:
        assert main([str(bundle), *further]) == 2
        assert message in capsys.readouterr().err
    assert main([str(tmp_path / "run"), "--triton", str(repository)]) == 2
    assert "expected --to BUNDLE" in capsys.readouterr().err
