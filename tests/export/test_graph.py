"""What is exported is the trained classifier: every encoder, every pairing, at sizes it was not traced with."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from bundle.answer import softmax
from bundle.manifest import GRAPH
from bundle.modalities import Array
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export.graph import Graph, declare
from tests.bundles import LABELS
from tests.export.conftest import Exported
from training.checkpoint import Checkpoint

TYPES = {
    "audio": "tensor(float)",
    "video": "tensor(uint8)",
    "image": "tensor(uint8)",
    "text": "tensor(int64)",
    "pathology": "tensor(uint8)",
    "genomics": "tensor(float)",
}


def session(found: Exported) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(found.bundle / GRAPH), providers=["CPUExecutionProvider"])


def torch_answers(run: Checkpoint, feed: dict[str, Array]) -> dict[str, Array]:
    """What the trained model gives, by the graph's names."""
    inputs = {name: torch.from_numpy(array) for name, array in feed.items()}
    present = inputs.pop("present")
    with torch.inference_mode():
        found = run.model().examine(inputs, present)
    shares = {f"share_{name}": share.numpy() for name, share in found.out.shares.items()}
    shifts = {f"shift_{name}": shift.numpy() for name, shift in found.shifts.items()}
    return {"logits": found.out.logits.numpy(), **shares, "coalitions": found.coalitions.numpy(), **shifts}


def random_inputs(run: Checkpoint, batch: int, tokens: int, seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    feed: dict[str, Array] = {}
    for name, modality in run.modalities.items():
        shape = (batch, *(tokens if size is None else size for size in modality.shape))
        if modality.dtype == "uint8":
            feed[name] = generator.integers(0, 256, shape, dtype=np.uint8)
        elif modality.dtype == "int64":
            feed[name] = generator.integers(0, 6, shape)
        else:
            feed[name] = generator.normal(0, 3, shape).astype(np.float32)
    return {**feed, "present": generator.random((batch, len(run.modalities))) < 0.7}


def payloads(run: Checkpoint, count: int, seed: int) -> list[dict[str, bytes]]:
    generator = np.random.default_rng(seed)
    return [{name: modality.example(generator) for name, modality in run.modalities.items()} for _ in range(count)]


def test_one_file_takes_the_modalities_by_name_and_gives_the_declared_outputs(every: Exported) -> None:
    assert [path.name for path in every.bundle.iterdir() if path.suffix not in (".json", ".md", ".npz")] == [GRAPH]
    graph = session(every)
    names = list(every.run.modalities)
    *inputs, present = graph.get_inputs()
    assert {node.name: node.type for node in inputs} == {name: TYPES[name] for name in names}
    for node in inputs:
        assert node.shape[0] == "batch"
        stated = every.run.modalities[node.name].shape
        assert [None if isinstance(size, str) else size for size in node.shape[1:]] == list(stated)
    assert (present.name, present.type, present.shape) == ("present", "tensor(bool)", ["batch", len(names)])
    shapes = {"logits": ["batch", 3], **{f"share_{name}": ["batch", 3] for name in names}}
    shapes |= {"coalitions": ["batch", 2 ** len(names), 3], **{f"shift_{name}": ["batch"] for name in names}}
    assert {node.name: node.shape for node in graph.get_outputs()} == shapes
    assert all(node.type == "tensor(float)" for node in graph.get_outputs())


@pytest.mark.parametrize(("batch", "tokens"), [(1, 1), (1, 12), (5, 3), (8, 12)])
def test_the_graph_gives_what_torch_gives_at_sizes_it_was_not_traced_with(
    every: Exported, batch: int, tokens: int
) -> None:
    feed = random_inputs(every.run, batch, tokens, seed=batch)
    graph = session(every)
    found = dict(zip([node.name for node in graph.get_outputs()], graph.run(None, feed), strict=True))
    expected = torch_answers(every.run, feed)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if name.startswith("shift_"):
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
        else:
            np.testing.assert_allclose(softmax(found[name]), softmax(values), rtol=0, atol=1e-4, err_msg=name)
    shares = np.sum([found[f"share_{name}"] for name in every.run.modalities], axis=0)
    np.testing.assert_allclose(shares, found["logits"], rtol=1e-5, atol=1e-5)


def test_the_graph_tells_unlike_inputs_by_their_distance(every: Exported) -> None:
    feed = random_inputs(every.run, 4, 5, seed=0)
    present = np.array([[True] * len(every.run.modalities)] * 4)
    graph = session(every)
    for name in every.run.modalities:
        [distances] = graph.run([f"shift_{name}"], {**feed, "present": present})
        assert (distances > 0).all()
        [absent] = graph.run([f"shift_{name}"], {**feed, "present": ~present})
        assert (absent == 0).all()


def test_the_bundle_answers_raw_payloads_as_torch_does(every: Exported) -> None:
    samples = payloads(every.run, 3, seed=77)
    predictor = Predictor(every.bundle)
    arrays = [
        {name: modality.normalise(modality.decode(sample[name])) for name, modality in every.run.modalities.items()}
        for sample in samples
    ]
    feed = {name: modality.stack([row[name] for row in arrays]) for name, modality in every.run.modalities.items()}
    expected = torch_answers(every.run, {**feed, "present": np.ones((3, len(feed)), np.bool_)})
    for row, answer in enumerate(predictor.predict(samples)):
        fused = softmax(expected["logits"][row])
        found = {entry.label: entry.probability for entry in answer.predictions}
        assert found == pytest.approx(dict(zip(LABELS, fused.tolist(), strict=True)), abs=1e-4)
        best = LABELS.index(answer.predictions[0].label)
        for name, own in answer.modalities.items():
            assert own.confidence == pytest.approx(softmax(expected[f"share_{name}"][row])[best], abs=1e-4)


def test_the_bundle_passes_its_own_check(every: Exported) -> None:
    assert selfcheck(Predictor(every.bundle)) == 4


def test_batch_mates_and_the_padding_they_cause_change_no_answer(every: Exported) -> None:
    predictor = Predictor(every.bundle)
    samples = payloads(every.run, 6, seed=5)
    first, *_ = predictor.modalities
    del samples[1][first]
    if "text" in predictor.modalities:
        for sample, text in zip(samples, ("red", "red house " * 40, "river", "green green", "house", "?"), strict=True):
            sample["text"] = text.encode()
    arrays = [predictor.prepare(sample) for sample in samples]
    together = predictor.run(arrays)
    for row, array in enumerate(arrays):
        for name, values in predictor.run([array]).items():
            if name.startswith("shift_"):
                np.testing.assert_allclose(values[0], together[name][row], rtol=1e-4, err_msg=name)
            else:
                np.testing.assert_allclose(softmax(values[0]), softmax(together[name][row]), rtol=0, atol=1e-5)


def test_pixels_are_scaled_inside_the_graph(one: Exported) -> None:
    feed = random_inputs(one.run, 2, 1, seed=0)
    graph = session(one)
    model = one.run.model().encoders["pathology"]
    with torch.inference_mode():
        scaled = (torch.from_numpy(feed["pathology"]) / 255.0 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / (
            torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        )
        head = one.run.model().fusion.heads["pathology"]  # type: ignore[index]
        expected = head(model(scaled)).numpy()  # type: ignore[operator]
    [share] = graph.run(["share_pathology"], feed)
    np.testing.assert_allclose(share, expected, rtol=1e-4, atol=1e-4)


def test_nothing_of_the_exporter_s_notes_stays_in_the_graph(every: Exported) -> None:
    model = onnx.load(every.bundle / GRAPH)
    graph = model.graph
    for entry in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        assert not entry.metadata_props and not entry.doc_string


def test_a_declaration_names_every_axis_once(one: Exported) -> None:
    declaration = declare(one.run.modalities, 3)
    assert list(declaration.inputs) == [*one.run.modalities, "present"]
    assert Graph(one.run.model(), declaration).names == [*one.run.modalities, "present"]
