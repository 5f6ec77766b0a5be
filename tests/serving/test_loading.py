"""Which bundles are refused, and in which words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from bundle.errors import BundleError, ExecutionUnavailable, ManifestError
from bundle.manifest import GOLDEN
from bundle.predictor import Predictor
from serving import loading
from serving.logs import NAME
from serving.model import ServedModel
from serving.registry import Registry
from serving.settings import Settings
from tests.bundles import build_bundle
from tests.serving.samples import rehash

NO_GPU = 999


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_bundle(tmp_path / "tiny", ("text", "genomics"))


def settings(*folders: Path) -> Settings:
    return Settings(bundles=tuple(map(str, folders)), max_batch=3, inference_threads=1)


def test_a_good_bundle_is_loaded_and_warmed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    infer = Predictor.infer

    def counted(self: Predictor, batch: Sequence[dict[str, np.ndarray]]) -> object:
        sizes.append(len(batch))
        return infer(self, batch)

    monkeypatch.setattr(Predictor, "infer", counted)
    [loaded] = loading.load(settings(folder))
    assert loaded.predictor.folder == folder
    assert loaded.batch in (1, 2) and set(sizes) <= {1, 2} and 1 in sizes


def test_no_bundle_is_named() -> None:
    with pytest.raises(ManifestError, match="INFOBRIDGE_BUNDLES names no bundle"):
        loading.check(Settings())


def test_a_folder_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"there is no folder .*nowhere"):
        loading.check(settings(tmp_path / "nowhere"))


@pytest.mark.parametrize("file", ["model.onnx", "golden.npz", "tokenizer.json"])
def test_a_changed_byte(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    for refuse in (loading.check, loading.load):
        with pytest.raises(ManifestError, match=f"{file}.*sha256") as error:
            refuse(settings(folder))
        assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_golden_samples_that_are_not_reproduced(folder: Path) -> None:
    with np.load(folder / GOLDEN) as file:
        entries = {name: file[name] for name in file.files}
    entries["output/logits"] = entries["output/logits"][:, ::-1]
    np.savez(folder / GOLDEN, **entries)
    rehash(folder)
    assert loading.check(settings(folder)) == [folder]
    with pytest.raises(BundleError, match="output logits"):
        loading.load(settings(folder))


def test_two_bundles_of_one_name(folder: Path, tmp_path: Path) -> None:
    twin = build_bundle(tmp_path / "twin", ("text", "genomics"), seed=1)
    with pytest.raises(ManifestError, match="two bundles named 'text-genomics'"):
        loading.check(settings(folder, twin))


def test_a_gpu_that_is_not_there_is_refused_at_start_and_where_graphs_are_loaded(folder: Path) -> None:
    wanted = replace(settings(folder), providers=("cuda", "cpu"), require_gpu=True, gpu_device=NO_GPU)
    for refuse in (loading.check, loading.load):
        with pytest.raises(ExecutionUnavailable, match="a graph cannot run where it was asked to: cuda: "):
            refuse(wanted)


def test_what_may_run_on_the_cpu_instead_does_and_the_log_says_why(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = replace(settings(folder), providers=("cuda", "cpu"), gpu_device=NO_GPU)
    with caplog.at_level("INFO", NAME):
        [loaded] = loading.load(wanted)
    assert loaded.predictor.running.target == "cpu" and set(loaded.predictor.refused) == {"cuda"}
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert vars(warning)["target"] == "cuda" and vars(warning)["reason"] == loaded.predictor.refused["cuda"]


def test_the_registry_refuses_what_requests_cannot_tell_apart() -> None:
    def model(name: str, *inputs: str) -> ServedModel:
        return cast(ServedModel, SimpleNamespace(name=name, inputs=inputs))

    with pytest.raises(ManifestError, match="two bundles are named 'a'"):
        Registry([model("a", "text"), model("a", "image")])
    with pytest.raises(ManifestError, match="an input named 'model'"):
        Registry([model("a", "text", "model")])
