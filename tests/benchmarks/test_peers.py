"""Every system that is measured really answers, over its own way of reading requests, what the predictor says."""

import importlib
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from benchmarks.serving_samples import CONTENT_TYPE, Sample, multipart
from benchmarks.systems import SYSTEMS, TRITON, started
from bundle.answer import Prediction
from bundle.predictor import Predictor
from tests.bundles import LABELS, build_bundle, tiny_modality

NEEDED = {"litserve": ("litserve",), "fastapi-torch": ("fastapi", "torch"), "starlette": ("uvicorn",)}
PAIRINGS = [
    ("image", "text"),
    pytest.param(("audio", "video"), marks=pytest.mark.slow),
    pytest.param(("pathology", "genomics"), marks=pytest.mark.slow),
]


def sample_of(modalities: tuple[str, str]) -> Sample:
    generator = np.random.default_rng(5)
    sample: Sample = {name: tiny_modality(name).example(generator) for name in modalities}
    for name in {"text", "genomics"} & sample.keys():
        content = sample[name]
        assert isinstance(content, bytes)
        sample[name] = json.loads(content) if name == "genomics" else content.decode()
    return sample


def ask(url: str, sample: Sample) -> Prediction:
    request = urllib.request.Request(url, multipart(sample), {"Content-Type": CONTENT_TYPE})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        content: dict[str, Any] = json.load(response)
    found: Prediction = TypeAdapter(Prediction).validate_python(content)  # what a server of ours adds is left out
    return found


def equal(one: Prediction, other: Prediction, tolerance: float) -> None:
    assert [entry.label for entry in one.predictions] == [entry.label for entry in other.predictions]
    found = [entry.probability for entry in one.predictions]
    assert found == pytest.approx([entry.probability for entry in other.predictions], abs=tolerance)
    assert one.modalities.keys() == other.modalities.keys()
    for name, own in one.modalities.items():
        assert own.label == other.modalities[name].label
        for number in ("confidence", "contribution", "shift"):
            assert getattr(own, number) == pytest.approx(getattr(other.modalities[name], number), abs=tolerance)
    assert one.baseline == pytest.approx(other.baseline, abs=tolerance)
    for fact in ("missing", "disagreement", "unusual", "abstain"):
        assert getattr(one, fact) == getattr(other, fact)


@pytest.mark.parametrize("modalities", PAIRINGS)
@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if not system.torch and name != TRITON])
def test_a_system_answers_what_the_predictor_says(name: str, modalities: tuple[str, str], tmp_path: Path) -> None:
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    bundle = build_bundle(tmp_path / "bundle", modalities)
    sample = sample_of(modalities)
    [expected] = Predictor(bundle).predict([sample])
    with started(name, tmp_path, "_".join(modalities), threads=1) as running:
        found = ask(f"http://127.0.0.1:{running.target.port}{running.target.path}", sample)
        assert running.libraries("libtorch") == set()
        assert running.cpu() > 0
    equal(found, expected, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("modalities", [("image", "text"), ("audio", "video"), ("pathology", "genomics")])
def test_the_model_in_torch_answers_what_its_bundle_says(modalities: tuple[str, str], tmp_path: Path) -> None:
    for package in (*NEEDED["fastapi-torch"], "onnxscript"):
        pytest.importorskip(package)
    assemble: Any = importlib.import_module("export.assemble").assemble
    read: Any = importlib.import_module("training.checkpoint").read
    make_run: Any = importlib.import_module("tests.export.runs").make_run
    run = make_run(tmp_path / "run", modalities)
    assemble(read(run), tmp_path / "bundle", "run")
    sample = sample_of(modalities)
    [expected] = Predictor(tmp_path / "bundle").predict([sample])
    with started("fastapi-torch", tmp_path, "_".join(modalities), threads=1) as running:
        found = ask(f"http://127.0.0.1:{running.target.port}{running.target.path}", sample)
        assert running.libraries("libtorch") != set(), "what the benchmark looks for is there when it should be"
    equal(found, expected, 1e-4)
    assert {entry.label for entry in found.predictions} == set(LABELS)


def test_a_sleeping_system_does_nothing_and_wakes_up(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    bundle = build_bundle(tmp_path / "bundle", ("image", "text"))
    sample = sample_of(("image", "text"))
    [expected] = Predictor(bundle).predict([sample])
    with started("starlette", tmp_path, "image_text", threads=1) as running:
        running.sleep()
        states = {process.status() for process in running.family()}
        running.wake()
        found = ask(f"http://127.0.0.1:{running.target.port}{running.target.path}", sample)
    assert states == {"stopped"}
    equal(found, expected, 1e-6)


def test_a_system_that_cannot_start_says_why(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    with pytest.raises(RuntimeError, match=r"did not become ready"), started("starlette", tmp_path, "image_text", 1):
        pass
