"""Samples that lack a modality: from the payloads of a request to the answer, and in golden samples."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bundle import selfcheck
from bundle.answer import Prediction
from bundle.errors import InvalidInput, ManifestError, SelfCheckFailed
from bundle.manifest import FILE, GOLDEN, GRAPH
from bundle.predictor import Arrays, Predictor
from tests.bundles import PAIRINGS, build_bundle, tiny_modality
from tests.serving.samples import rehash

SIX = ("audio", "video", "image", "text", "pathology", "genomics")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundles") / "six", SIX)


@pytest.fixture(scope="module")
def predictor(built: Path) -> Predictor:
    return Predictor(built, threads=1)


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "bundle"))


def sample(seed: int, *names: str) -> dict[str, bytes]:
    generator = np.random.default_rng(seed)
    every = {name: tiny_modality(name).example(generator) for name in SIX}
    return {name: every[name] for name in names or SIX}


def same(one: Prediction, other: Prediction) -> None:
    """Equal but for rounding."""
    assert [entry.label for entry in one.predictions] == [entry.label for entry in other.predictions]
    for left, right in zip(one.predictions, other.predictions, strict=True):
        assert left.probability == pytest.approx(right.probability, abs=1e-6)
    assert one.modalities.keys() == other.modalities.keys()
    for name, own in one.modalities.items():
        assert own.label == other.modalities[name].label
        for field in ("confidence", "contribution"):
            assert getattr(own, field) == pytest.approx(getattr(other.modalities[name], field), abs=1e-6)
    assert one.missing == other.missing
    assert one.baseline == pytest.approx(other.baseline, abs=1e-6)


def test_a_batch_may_mix_complete_and_incomplete_samples(predictor: Predictor) -> None:
    names = tuple(name for name in SIX if name != "text")  # the tiny graph takes the mean over padding too
    given = [
        sample(1, *names),
        sample(2, "audio"),
        sample(3, "image", "genomics"),
        sample(4, *names[:3]),
        sample(5, "pathology"),
    ]
    for one, answer in zip(given, predictor.predict(given), strict=True):
        [alone] = predictor.predict([one])
        same(alone, answer)
        assert tuple(answer.modalities) == tuple(name for name in SIX if name in one)
        assert answer.missing == tuple(name for name in SIX if name not in one)


@pytest.mark.parametrize("name", SIX)
def test_one_modality_is_enough(predictor: Predictor, name: str) -> None:
    [answer] = predictor.predict([sample(1, name)])
    assert tuple(answer.modalities) == (name,) and len(answer.missing) == 5
    own = answer.modalities[name]
    assert own.contribution == pytest.approx(answer.predictions[0].probability - answer.baseline, abs=1e-9)
    assert own.label == answer.predictions[0].label
    assert own.confidence == pytest.approx(answer.predictions[0].probability, abs=1e-6)


def test_the_order_of_a_request_s_fields_does_not_matter(predictor: Predictor) -> None:
    given = sample(1, "audio", "image")
    assert predictor.predict([dict(reversed(given.items()))]) == predictor.predict([given])


def test_no_modality_at_all_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InvalidInput, match=r"expected one or more of audio, video, .*, received nothing") as caught:
        predictor.prepare({})
    assert caught.value.field is None


def test_an_unknown_field_is_refused_by_name_also_alone(predictor: Predictor) -> None:
    for given in ({"sound": b""}, {**sample(0, "audio"), "sound": b""}):
        with pytest.raises(InvalidInput, match=r"sound: expected only audio, video, .*, received an unknown") as caught:
            predictor.prepare(given)
        assert caught.value.field == "sound"


def test_what_is_there_is_told_from_what_is_not(predictor: Predictor) -> None:
    batch: list[Arrays] = [predictor.prepare(sample(0, "video")), predictor.prepare(sample(1))]
    expected = [[name == "video" for name in SIX], [True] * 6]
    assert predictor.present(batch).tolist() == expected
    assert predictor.present(batch).dtype == np.bool_


@pytest.mark.parametrize("name", SIX)
def test_what_stands_for_an_absent_modality_is_an_array_the_graph_takes(name: str) -> None:
    modality = tiny_modality(name)
    blank = modality.blank()
    assert blank.dtype == modality.dtype and len(blank.shape) == len(modality.shape)
    assert all(size in (None, found) for size, found in zip(modality.shape, blank.shape, strict=True))
    real = modality.normalise(modality.decode(modality.example(np.random.default_rng(0))))
    assert modality.stack([blank, real]).shape[0] == 2


def refusal(folder: Path, graph: onnx.ModelProto) -> str:
    onnx.save(graph, os.fspath(folder / GRAPH))
    rehash(folder)
    with pytest.raises(ManifestError) as caught:
        Predictor(folder)
    return str(caught.value)


def test_a_graph_that_takes_no_mask_is_refused(folder: Path) -> None:
    graph = onnx.load(os.fspath(folder / GRAPH))
    mask = graph.graph.input.pop()
    constant = numpy_helper.from_array(np.ones((1, 6), np.bool_), mask.name)
    graph.graph.initializer.append(constant)
    assert "expected inputs" in refusal(folder, graph)


def test_a_graph_whose_mask_is_of_another_type_is_refused(folder: Path) -> None:
    graph = onnx.load(os.fspath(folder / GRAPH))
    graph.graph.input[-1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    assert "'present': 'bool'}, found" in refusal(folder, graph)


def test_a_graph_whose_mask_is_of_another_width_is_refused(folder: Path, tmp_path: Path) -> None:
    other = build_bundle(tmp_path / "five", SIX[:5])
    graph = onnx.load(os.fspath(other / GRAPH))
    unused = onnx.load(os.fspath(folder / GRAPH)).graph.input[5]
    graph.graph.input.insert(5, unused)
    assert "expected input 'present' of shape ('batch', 6)" in refusal(folder, graph)


@pytest.mark.parametrize(("name", "axis"), [("coalitions", 1), ("coalitions", 2), ("share_audio", 1)])
def test_a_graph_whose_outputs_are_of_another_width_is_refused(folder: Path, name: str, axis: int) -> None:
    graph = onnx.load(os.fspath(folder / GRAPH))
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = ["before" if found == name else found for found in names]
    graph.graph.node.append(onnx.helper.make_node("Concat", ["before", "before"], [name], axis=axis))
    [output] = [entry for entry in graph.graph.output if entry.name == name]
    output.type.tensor_type.shape.dim[axis].dim_value *= 2
    assert f"expected output '{name}' of shape" in refusal(folder, graph)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_golden_samples_may_lack_a_modality(pairing: tuple[str, ...], tmp_path: Path) -> None:
    folder = build_bundle(tmp_path / "bundle", pairing)
    payloads = selfcheck.golden_payloads(selfcheck.read_golden(folder / GOLDEN), pairing)
    assert [len(payload) for payload in payloads] == [2, 2, 2, 1]
    assert selfcheck.selfcheck(Predictor(folder)) == 4


def golden(folder: Path, **changed: np.ndarray) -> str:
    """The failure of a self-check whose golden samples were changed."""
    stored = selfcheck.read_golden(folder / GOLDEN)
    np.savez(folder / GOLDEN, **{**stored, **changed})  # type: ignore[arg-type]
    rehash(folder)
    with pytest.raises(SelfCheckFailed) as caught:
        selfcheck.selfcheck(Predictor(folder))
    return str(caught.value)


def test_a_golden_sample_that_is_given_what_it_lacked_fails(folder: Path) -> None:
    stored = selfcheck.read_golden(folder / GOLDEN)
    more = {"3/payload/genomics": stored["0/payload/genomics"], "3/array/genomics": stored["0/array/genomics"]}
    assert "expected a difference of at most 0.0001" in golden(folder, **more)


@pytest.mark.parametrize("scale", [0.99, 1.01, np.nan])
def test_an_altered_distance_fails_by_its_share(folder: Path, scale: float) -> None:
    stored = selfcheck.read_golden(folder / GOLDEN)["output/shift_audio"]
    changed = {"output/shift_audio": (stored * 1e4 * scale).astype(np.float32)}
    assert "output shift_audio: expected a difference of at most 0.0001" in golden(folder, **changed)


def test_a_distance_that_differs_by_rounding_passes(folder: Path) -> None:
    stored = dict(selfcheck.read_golden(folder / GOLDEN))
    stored["output/shift_audio"] = stored["output/shift_audio"] * np.float32(1 + 1e-5)
    np.savez(folder / GOLDEN, **stored)  # type: ignore[arg-type]
    rehash(folder)
    assert selfcheck.selfcheck(Predictor(folder)) == 4


def test_an_altered_coalition_fails(folder: Path) -> None:
    stored = selfcheck.read_golden(folder / GOLDEN)["output/coalitions"].copy()
    stored[0, 5, 0] += 0.1
    assert "output coalitions: expected a difference" in golden(folder, **{"output/coalitions": stored})


def test_a_temperature_changes_the_answer_and_not_the_self_check(folder: Path, predictor: Predictor) -> None:
    content = json.loads((folder / FILE).read_text())
    content["calibration"]["coalitions"] = {"audio": 4.0}
    (folder / FILE).write_text(json.dumps(content))
    calibrated = Predictor(folder)
    assert selfcheck.selfcheck(calibrated) == 4
    [plain], [flat] = predictor.predict([sample(1, "audio")]), calibrated.predict([sample(1, "audio")])
    assert flat.predictions[0].probability < plain.predictions[0].probability
    [plain], [flat] = predictor.predict([sample(1)]), calibrated.predict([sample(1)])
    assert flat.predictions == plain.predictions
    assert replace(flat, modalities={}, baseline=0.0) == replace(plain, modalities={}, baseline=0.0)
