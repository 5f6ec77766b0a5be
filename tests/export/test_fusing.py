"""`python -m export --precision fp16 --fused`: what becomes single nodes, that it is the model, and who runs it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bundle.errors import ExecutionUnavailable
from bundle.execution import Execution
from bundle.graph_file import OWN, OWN_OPERATORS, check_graph_file
from bundle.manifest import GRAPH, Manifest
from bundle.modalities import Array
from bundle.predictor import Predictor
from bundle.runtime import onnxruntime
from bundle.selfcheck import selfcheck
from export import acceptance, fusing, parity, reduced
from export.__main__ import main
from export.assemble import assemble
from export.errors import ExportError, ValueMismatch
from export.feeds import Feed, random_feed
from export.fusing import Fused
from export.half import TYPES, Half, to_half
from export.towers import find_tower
from tests.export.conftest import Exported
from tests.export.runs import PLAIN, make_run
from training.checkpoint import read
from training.config import ImageOptions, TextOptions
from training.encoders.transformer import Transformer
from training.encoders.vit import VisionTransformer

PICTURES = VisionTransformer.Options(width=32, layers=2, heads=2, patch=8)
WORDS = Transformer.Options(width=32, layers=2, heads=2)
FARTHEST = {"fp16": 2e-3, "bf16": 2e-2}
ON = "--precision fp16 --fused"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A ViT and a BERT of two layers each; film has products in its head that onnxscript fuses as well."""
    folder = tmp_path_factory.mktemp("fusing")
    image = ImageOptions(encoder="vit", encoder_options=PICTURES)
    config = replace(PLAIN, fusion="film", image=image, text=TextOptions(encoder_options=WORDS))
    run = read(make_run(folder / "run", ("image", "text"), config))
    assemble(run, folder / "bundle", "pair")
    return Exported(run, folder / "bundle")


def of_several_lengths(pair: Exported) -> Feed:
    """Texts of 1 to 12 tokens, every modality there."""
    feed = random_feed(pair.run.modalities, 4, np.random.default_rng(2))
    words = np.zeros((4, 12), np.int64)
    for row, length in enumerate((1, 5, 12, 8)):
        words[row, :length] = np.random.default_rng(row).integers(1, 6, length)
    return feed | {"text": words, "present": np.ones((4, 2), np.bool_)}


def copied(pair: Exported, folder: Path) -> Path:
    (folder / GRAPH).write_bytes((pair.bundle / GRAPH).read_bytes())
    return folder / GRAPH


def apart(found: dict[str, Array], expected: dict[str, Array]) -> float:
    return max(parity.difference(name, values, expected[name]) for name, values in found.items())


def test_attention_is_fused_and_equal_to_torch_whatever_the_texts_lengths(pair: Exported, tmp_path: Path) -> None:
    feed = of_several_lengths(pair)
    model, count = reduced.fuse(pair.run, copied(pair, tmp_path), [feed])
    own = [node for node in model.graph.node if node.domain == OWN]
    packed = [node for node in own if node.op_type == "Attention"]
    assert count == len(packed) == 4 and {node.op_type for node in own} < OWN_OPERATORS
    assert [len(node.input) for node in packed] == [3, 3, 6, 6], "the text's mask stays, the picture's lets all through"
    constants = {tensor.name for tensor in model.graph.initializer}
    assert constants >= {name for node in packed for name in node.input[1:3]}
    content = (tmp_path / GRAPH).read_bytes()
    assert check_graph_file(content) and b"site-packages" not in content
    session = parity.load(tmp_path / GRAPH)
    together = parity.run(session, feed)
    assert apart(together, parity.run(parity.load(pair.bundle / GRAPH), feed)) < parity.TOLERANCE
    for row, length in enumerate((1, 5, 12, 8)):
        alone = {name: values[row : row + 1] for name, values in feed.items()}
        alone["text"] = alone["text"][:, :length]
        found = parity.run(session, alone)
        assert apart(found, {name: values[row : row + 1] for name, values in together.items()}) < 1e-5


def test_a_mask_that_is_lost_is_found(pair: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fused, "_lets_all_through", lambda self, mask: True)
    with pytest.raises(ValueMismatch, match="outputs differ from torch's by more than "):
        reduced.fuse(pair.run, copied(pair, tmp_path), [of_several_lengths(pair)])


@pytest.mark.parametrize("given", [{}, {"alpha": 0.3, "transA": 1}, {"transB": 1}, {"transA": 1, "transB": 1}])
def test_products_are_taken_apart_again(given: dict[str, float]) -> None:
    generator = np.random.default_rng(5)
    feed = {name: generator.standard_normal((2, 3, 3)).astype(np.float32) for name in ("a", "b")}
    fused = onnx.helper.make_node("FusedMatMul", ["a", "b"], ["y"], domain=OWN, **given)
    made = fusing._product(fused, {"a": 3, "b": 3})
    assert all(not node.domain for node in made)
    np.testing.assert_allclose(product(made, feed), product([fused], feed), rtol=1e-5, atol=1e-6)
    other = onnx.helper.make_node("FusedMatMul", ["a", "b"], ["y"], domain=OWN, transBatchA=1)
    assert fusing._product(other, {"a": 3, "b": 3}) == [other]


def product(nodes: list[onnx.NodeProto], feed: Feed) -> Array:
    """What nodes that take `a` and `b` `(2, 3, 3)` give as `y`."""
    inputs = [onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3, 3]) for name in feed]
    graph = onnx.helper.make_graph(
        nodes, "graph", inputs, [onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )
    domains = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid(OWN, 1)]
    content = onnx.helper.make_model(graph, opset_imports=domains, ir_version=10).SerializeToString()
    [found] = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, feed)
    return np.asarray(found)


def test_weights_joined_at_loading_become_one_constant(pair: Exported) -> None:
    plain = onnx.load(pair.bundle / GRAPH)
    fused = Fused(plain)
    model, [first, *_] = fused.model, fused.attentions
    whole = fused._value(first.input[1])
    assert whole is not None
    parts = [f"part_{number}" for number in range(3)]
    model.graph.initializer.remove(fused._constants[first.input[1]])
    values = (np.ascontiguousarray(part) for part in np.split(whole, 3, axis=1))
    model.graph.initializer.extend(map(onnx.numpy_helper.from_array, values, parts))
    model.graph.node.insert(0, onnx.helper.make_node("Concat", parts, [first.input[1]], axis=1))
    fused._read()
    fused._join(first.input[1])
    fused._read()
    joined = fused._value(first.input[1])
    assert joined is not None and first.input[1] not in fused._makers
    np.testing.assert_array_equal(joined, whole)
    fused._join("image")  # what nothing makes stays
    fused._join(next(iter(fused._makers)))


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_what_is_fused_computes_in_sixteen_bits(pair: Exported, kind: Half, tmp_path: Path) -> None:
    model = Fused(onnx.load(pair.bundle / GRAPH)).model
    assert to_half(model, ("image", "text"), kind) == {"image": kind, "text": kind}
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    inside = {name for modality in ("image", "text") for name in find_tower(model, modality).nodes}
    own = [node for node in model.graph.node if node.domain == OWN]
    assert len(own) == 16 and {node.name for node in own} <= inside
    for node in own:
        assert {types[name] for name in node.input if name in types} == {TYPES[kind]}, node.name
    sizes = {tensor.name: len(tensor.raw_data) for tensor in model.graph.initializer if types[tensor.name] == 1}
    assert not any(".encoders." in name and size > 4096 for name, size in sizes.items())
    onnx.save(model, tmp_path / GRAPH)
    session, whole, feed = reduced.load(tmp_path / GRAPH), parity.load(pair.bundle / GRAPH), of_several_lengths(pair)
    reduced.prove_promises(pair.run, model, session, [feed])
    assert 0 < apart(parity.run(session, feed), parity.run(whole, feed)) < FARTHEST[kind]


def test_a_graph_without_attention_stays_as_it_is(one: Exported) -> None:
    model = onnx.load(one.bundle / GRAPH)
    fused = Fused(model)
    assert not fused.attentions and fused.model is not model
    assert fused.model.SerializeToString() == model.SerializeToString()
    assert not check_graph_file(model.SerializeToString())


def test_what_cannot_be_fused_is_refused(pair: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load(pair.bundle / GRAPH)
    with monkeypatch.context() as patch:
        patch.setattr(fusing, "OWN_OPERATORS", frozenset(("Attention", "BiasGelu")))
        with pytest.raises(ExportError, match="nodes among Attention, BiasGelu, found SkipLayerNormalization"):
            Fused(model)

    def broken(model: object) -> None:
        raise KeyError("a pattern")

    monkeypatch.setattr(fusing, "optimize_for_ort", broken)
    with pytest.raises(ExportError, match="the graph cannot be fused: 'a pattern'"):
        Fused(model)


@pytest.fixture(scope="module")
def bundle(with_data: Path) -> Path:
    """Of convolutions over pictures, and a BERT of one layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(with_data)
        for limit in ("LARGEST_DROP", "LARGEST_RISE"):  # on so few samples it is chance
            patch.setattr(acceptance, limit, 1.0)
        assert main(["runs/mine", "--to", "bundles/fused", *ON.split()]) == 0
    return with_data / "bundles/fused"


def test_a_fused_bundle_says_so_and_reproduces_itself_on_a_cpu(bundle: Path) -> None:
    predictor = Predictor(bundle)
    assert selfcheck(predictor) == 4 and predictor.running.precision == "fp16"
    told = Manifest.read(bundle).provenance["export"]["quantization"]
    assert told["fused"] == 1 and told["ways"] == {"image": "fp16", "text": "fp16"}
    assert 0 < told["difference"] < FARTHEST["fp16"]
    [node] = [node for node in onnx.load(bundle / GRAPH).graph.node if node.op_type == "Attention"]
    assert node.domain == OWN
    card = (bundle / "model_card.md").read_text()
    assert "attention as single nodes: 1" in card and f"python -m export RUN --to BUNDLE {ON}\n" in card


def test_tensorrt_refuses_a_fused_bundle(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExecutionUnavailable, match="a fused graph needs cuda or cpu: TensorRT has none of its op"):
        Predictor(bundle, Execution(("tensorrt",)))
    predictor = Predictor(bundle, Execution(("tensorrt", "cpu")))
    assert predictor.running.target == "cpu" and "fused graph" in predictor.refused["tensorrt"]
    given = ["--tensorrt", "fp16", "--to", str(tmp_path / "other")]
    assert main([str(bundle), "--tensorrt", "fp16", "--tensorrt-check"]) == 2
    assert "expected a bundle whose graph is in 32 bits to make fp16 of, found one in fp16" in capsys.readouterr().err
    assert main(["runs/mine", *given, *ON.split()]) == 2
    assert f"{ON} makes another graph than --tensorrt" in capsys.readouterr().err


def test_fused_needs_sixteen_bits(one: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(one.run.folder), "--to", str(tmp_path / "bundle"), "--fused"]) == 2
    assert "--fused: expected --precision fp16 or bf16 beside it, found none" in capsys.readouterr().err


def test_where_there_is_nothing_to_fuse_it_is_told(
    with_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(with_data)
    monkeypatch.setattr(fusing, "ATTENTIONS", ())
    for limit in ("LARGEST_DROP", "LARGEST_RISE"):
        monkeypatch.setattr(acceptance, limit, 1.0)
    assert main(["runs/mine", "--to", "bundles/unfused", *ON.split()]) == 0
    assert "--fused changed nothing: the graph has no attention that could be fused\n" in capsys.readouterr().out
    manifest = Manifest.read(with_data / "bundles/unfused")
    assert manifest.provenance["export"]["quantization"]["fused"] == 0
    assert TensorProto.FLOAT16 in {
        tensor.data_type for tensor in onnx.load(with_data / "bundles/unfused" / GRAPH).graph.initializer
    }
