"""Predictor: one bundle from raw samples to predictions."""

import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from bundle.answer import softmax
from bundle.errors import InvalidInput, ManifestError
from bundle.manifest import FILE, GRAPH, sha256
from bundle.modalities import Modality
from bundle.predictor import Predictor
from tests.bundles import LABELS, PAIRINGS, build_bundle


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    root = tmp_path_factory.mktemp("bundles")
    return {pairing: build_bundle(root / "-".join(pairing), pairing) for pairing in PAIRINGS}


@pytest.fixture(scope="module")
def predictors(folders: dict[tuple[str, ...], Path]) -> dict[tuple[str, ...], Predictor]:
    return {pairing: Predictor(folder, threads=1) for pairing, folder in folders.items()}


def sample(predictor: Predictor, seed: int) -> dict[str, bytes]:
    generator = np.random.default_rng(seed)
    return {name: modality.example(generator) for name, modality in predictor.modalities.items()}


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_every_pairing_answers(predictors: dict[tuple[str, ...], Predictor], pairing: tuple[str, ...]) -> None:
    predictor = predictors[pairing]
    [answer] = predictor.predict([sample(predictor, 1)])
    assert answer.model == "-".join(pairing)
    assert tuple(answer.modalities) == pairing
    assert {entry.label for entry in answer.predictions} == set(LABELS)
    assert sum(entry.probability for entry in answer.predictions) == pytest.approx(1)
    assert predictor.provider == "CPUExecutionProvider"


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_batch_gives_what_single_samples_give(
    predictors: dict[tuple[str, ...], Predictor], pairing: tuple[str, ...]
) -> None:
    predictor = predictors[pairing]
    samples = [sample(predictor, seed) for seed in range(5)]
    together = predictor.predict(samples)
    for one, answer in zip(samples, together, strict=True):
        [alone] = predictor.predict([one])
        assert [entry.label for entry in alone.predictions] == [entry.label for entry in answer.predictions]
        if "text" not in pairing:  # the tiny graph takes the mean over padding too
            for left, right in zip(alone.predictions, answer.predictions, strict=True):
                assert left.probability == pytest.approx(right.probability, abs=1e-6)


def test_shares_add_up_to_the_logits(predictors: dict[tuple[str, ...], Predictor]) -> None:
    predictor = predictors["image", "text"]
    outputs = predictor.run([predictor.prepare(sample(predictor, seed)) for seed in range(3)])
    np.testing.assert_allclose(outputs["share_image"] + outputs["share_text"], outputs["logits"], rtol=1e-5)
    answers = predictor.infer([predictor.prepare(sample(predictor, seed)) for seed in range(3)])
    for row, answer in enumerate(answers):
        best = LABELS.index(answer.predictions[0].label)
        assert best == outputs["logits"][row].argmax()
        for name, said in answer.modalities.items():
            share = softmax(outputs[f"share_{name}"][row])
            assert said.label == LABELS[int(share.argmax())]
            assert said.confidence == pytest.approx(share[best])


def test_no_samples_give_no_answers(predictors: dict[tuple[str, ...], Predictor]) -> None:
    assert predictors["image", "text"].predict([]) == []


def test_several_threads_get_the_same_answers(predictors: dict[tuple[str, ...], Predictor]) -> None:
    predictor = predictors["audio", "video"]
    samples = [sample(predictor, seed) for seed in range(4)]
    expected = predictor.predict(samples)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: predictor.predict([one])[0], samples * 3))
    for index, answer in enumerate(found):
        assert answer.predictions[0].label == expected[index % 4].predictions[0].label


def test_an_unknown_input_is_refused_by_name(predictors: dict[tuple[str, ...], Predictor]) -> None:
    predictor = predictors["image", "text"]
    with pytest.raises(InvalidInput, match="sound: expected only image, text") as caught:
        predictor.prepare({**sample(predictor, 0), "sound": b""})
    assert caught.value.field == "sound"


@pytest.mark.parametrize("name", ["image", "text"])
def test_a_payload_that_cannot_be_used_names_its_field(predictors: dict[tuple[str, ...], Predictor], name: str) -> None:
    predictor = predictors["image", "text"]
    with pytest.raises(InvalidInput) as caught:
        predictor.predict([{**sample(predictor, 0), name: b""}])
    assert caught.value.field == name and str(caught.value).startswith(f"{name}: expected ")


@pytest.mark.parametrize("payload", [b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(40)])
def test_a_refusal_holds_on_to_no_decoder(predictors: dict[tuple[str, ...], Predictor], payload: bytes) -> None:
    predictor = predictors["image", "text"]
    with pytest.raises(InvalidInput) as caught:
        predictor.prepare({**sample(predictor, 0), "image": payload})
    error: BaseException | None = caught.value
    frames = set()
    while error is not None:
        frames |= {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
        error = error.__context__
    assert {Path(name).name for name in frames} <= {"test_predictor.py", "preparing.py"}


def test_a_sample_for_which_the_graph_has_no_number_is_refused(predictors: dict[tuple[str, ...], Predictor]) -> None:
    predictor = predictors["pathology", "genomics"]
    prepared = predictor.prepare(sample(predictor, 0))
    prepared["genomics"] = np.full_like(prepared["genomics"], np.nan)
    with pytest.raises(InvalidInput, match="no finite number"):
        predictor.infer([prepared])


def replace_graph(folder: Path, graph: onnx.ModelProto | bytes) -> None:
    before = sha256(folder / GRAPH)
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    (folder / GRAPH).write_bytes(content)
    (folder / FILE).write_text((folder / FILE).read_text().replace(before, sha256(folder / GRAPH)))


def refusal(folder: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        Predictor(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def graph_of(folder: Path) -> onnx.ModelProto:
    return onnx.load(os.fspath(folder / GRAPH))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_bundle(tmp_path / "bundle", ("image", "text"))


def test_a_graph_that_does_not_load_is_refused_in_one_line(folder: Path) -> None:
    replace_graph(folder, b"not a graph at all")
    assert "model.onnx: expected a graph that loads" in refusal(folder)


def test_a_graph_with_other_outputs_is_refused(folder: Path) -> None:
    graph = graph_of(folder)
    del graph.graph.output[1]
    replace_graph(folder, graph)
    message = refusal(folder)
    assert (
        "expected outputs ['coalitions', 'logits', 'share_image', 'share_text', 'shift_image', 'shift_text']" in message
    )


@pytest.mark.parametrize(("axis", "size"), [(0, 1), (1, 1), (2, 32)])
def test_a_graph_that_takes_another_shape_is_refused(folder: Path, axis: int, size: int) -> None:
    graph = graph_of(folder)
    graph.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    replace_graph(folder, graph)
    assert "expected input 'image' of shape ('batch', 3, 16, 16) with a free batch axis" in refusal(folder)


def test_a_graph_whose_text_axis_is_fixed_is_refused(folder: Path) -> None:
    graph = graph_of(folder)
    graph.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 12
    replace_graph(folder, graph)
    assert "expected input 'text'" in refusal(folder)


def test_the_interface_of_a_modality_is_enough_for_a_bundle(tmp_path: Path) -> None:
    folder = build_bundle(tmp_path / "six", ("audio", "video", "image", "text", "pathology", "genomics"))
    predictor = Predictor(folder)
    assert all(isinstance(modality, Modality) for modality in predictor.modalities.values())
    assert len(predictor.predict([sample(predictor, 0)])[0].modalities) == 6
