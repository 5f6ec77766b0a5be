"""Every graph that an export makes is parsed and compiled by TensorRT-RTX, without a GPU; what it refuses is named."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from bundle.execution import Precision
from bundle.manifest import GRAPH, Manifest
from export import tensorrt_library
from export.__main__ import main
from export.errors import ExportError, TensorRTRefused
from export.feeds import Feed, masked, random_feed
from export.quantize import quantize, quantize_symmetric
from export.tensorrt_build import Shapes, build
from export.tensorrt_library import Library, tensorrt, tensorrt_rtx
from export.tensorrt_shapes import EngineOptions
from export.to_tensorrt import check, graph_of
from tests.conftest import ROOT
from tests.export.conftest import Exported
from tests.export.tensorrt.conftest import WANTED
from training.checkpoint import Checkpoint

USUAL = EngineOptions(max_batch=8, usual_batch=2)
TARGET = "SM89"

Encoded = Callable[[str], Exported]


def shapes_of(run: Checkpoint) -> dict[str, Shapes]:
    return {name: (found.least, found.usual, found.most) for name, found in USUAL.ranges(run.modalities).items()}


def feeds(run: Checkpoint) -> list[Feed]:
    everything = np.ones(len(run.modalities), np.bool_)
    return [masked(random_feed(run.modalities, 4, np.random.default_rng(0)), everything)]


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "fp32") for name in WANTED), ("resnet", "fp16"), ("pretrained", "fp16")]
)
def test_graphs_of_all_encoders_are_taken(rtx: Library, encoded: Encoded, name: str, precision: Precision) -> None:
    found = check(encoded(name).bundle, precision, USUAL, TARGET)
    assert (found.precision, found.target, found.version) == (precision, TARGET, rtx.version)
    assert found.bytes > 100_000


@pytest.mark.parametrize("name", ["image+text", "snn"])
def test_bfloat16_is_taken(rtx: Library, encoded: Encoded, name: str) -> None:
    assert check(encoded(name).bundle, "bf16", USUAL, TARGET).bytes > 100_000


@pytest.mark.parametrize("name", WANTED)
def test_symmetric_eight_bits_are_taken(rtx: Library, encoded: Encoded, name: str) -> None:
    run, model = encoded(name).run, onnx.load(encoded(name).bundle / GRAPH)
    quantize_symmetric(model, tuple(run.modalities), feeds(run))
    assert build(rtx, model.SerializeToString(), shapes_of(run), TARGET)


@pytest.mark.parametrize("name", ["averaged", "snn"])
def test_the_graph_in_eight_bits_of_a_cpu_is_refused_with_the_node(rtx: Library, encoded: Encoded, name: str) -> None:
    run, model = encoded(name).run, onnx.load(encoded(name).bundle / GRAPH)
    quantize(model, tuple(run.modalities), feeds(run))
    with pytest.raises(TensorRTRefused, match="Non-zero zero point is not supported") as refused:
        build(rtx, model.SerializeToString(), shapes_of(run), TARGET)
    named = re.search(r"does not take node (\d+), '(\w+)', operator QuantizeLinear", str(refused.value))
    assert named is not None and model.graph.node[int(named[1])].name == named[2]


def test_an_operator_that_it_does_not_know_is_named(rtx: Library) -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 2]) for name in "xy")
    node = onnx.helper.make_node("Det", ["x"], ["y"], name="determinant")
    graph = onnx.helper.make_graph([node], "none", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(TensorRTRefused, match="does not take node 0, 'determinant', operator Det: "):
        build(rtx, model.SerializeToString(), {"x": ((1, 2),) * 3}, TARGET)


def test_what_is_no_graph_and_other_inputs_are_refused(rtx: Library, encoded: Encoded) -> None:
    with pytest.raises(TensorRTRefused):
        build(rtx, b"no graph", {"x": ((1,),) * 3}, TARGET)
    with pytest.raises(TensorRTRefused, match=r"expected inputs \['x'\], the parsed graph has \['genomics'"):
        build(rtx, (encoded("snn").bundle / GRAPH).read_bytes(), {"x": ((1,),) * 3}, TARGET)


def test_ranges_that_the_graph_cannot_have_are_refused(rtx: Library, encoded: Encoded) -> None:
    found = encoded("snn")
    shapes = shapes_of(found.run) | {"genomics": ((1, 5), (2, 5), (8, 5))}
    with pytest.raises(TensorRTRefused, match="parsed the graph and built no engine: "):
        build(rtx, (found.bundle / GRAPH).read_bytes(), shapes, TARGET)


def test_targets_are_those_of_the_library(rtx: Library) -> None:
    assert {"SM80", "SM86", "SM89", "SM120"} <= set(rtx.targets)
    with pytest.raises(ExportError, match=r"a target of TensorRT-RTX among .*SM89.*, found 'SM30'"):
        build(rtx, b"", {}, "SM30")
    with pytest.raises(ExportError, match="a target of TensorRT among none but the card that is there, found 'SM89'"):
        build(Library(rtx.module, "TensorRT"), b"", {}, "SM89")


def test_a_bundle_is_checked_from_the_command_line(
    rtx: Library, encoded: Encoded, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = encoded("snn").bundle
    before = sorted(bundle.iterdir())
    assert main([str(bundle), "--tensorrt", "fp16", "--tensorrt-check", "--tensorrt-engine.max-batch", "16"]) == 0
    assert re.search(
        r"TensorRT-RTX [\d.]+ parses the fp16 graph and builds an engine of it for every card \(.* MB, .* s\); nothing",
        capsys.readouterr().out,
    )
    assert sorted(bundle.iterdir()) == before


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_check_says_nothing_but_its_own_line(rtx: Library, encoded: Encoded, precision: str) -> None:
    bundle = encoded("resnet").bundle
    command = [sys.executable, "-m", "export", str(bundle), "--tensorrt", precision, "--tensorrt-check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert line.startswith(f"TensorRT-RTX {rtx.version} parses the {precision} graph and builds an engine of it")


def test_without_tensorrt_it_says_what_to_install(
    encoded: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for name in tensorrt_library.RTX:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r"pip install 'infobridge\[tensorrt\]' on the machine with the GPU"):
        tensorrt()
    with pytest.raises(ExportError, match=r"pip install 'infobridge\[tensorrt-check\]'"):
        tensorrt_rtx()
    assert main([str(encoded("snn").bundle), "--to", str(tmp_path / "other"), "--tensorrt", "fp16"]) == 2
    assert "an engine needs TensorRT" in (said := capsys.readouterr().err) and "--tensorrt-check does without" in said
    assert main([str(encoded("snn").run.folder), "--to", str(tmp_path / "o"), "--tensorrt", "fp16"]) == 2
    assert not list(tmp_path.iterdir())


def test_an_old_tensorrt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.3.0"))
    with pytest.raises(ExportError, match=r"expected TensorRT 10\.13 or newer, found 10\.3\.0: pip install"):
        tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.13.3.9"))
    assert tensorrt().targets == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tensorrt-check"], "expected --tensorrt PRECISION beside it"),
        (["--tensorrt", "fp16"], "is a bundle, which never changes: expected --to OTHER for the engine"),
        (
            ["--tensorrt", "fp16", "--tensorrt-check", "--to", "other"],
            "makes none: expected no --to beside it, found other",
        ),
        (["--to", "other"], "is a bundle already: --triton REPOSITORY and --tensorrt PRECISION, with --to OTHER or"),
        (
            ["--tensorrt", "int8", "--quantize", "int8", "--to", "other"],
            "--quantize int8 makes another graph than --tensorrt",
        ),
        (["--tensorrt", "fp16", "--precision", "fp16", "--to", "other"], "--precision fp16 makes another graph"),
        (["--tensorrt-engine.usual-batch", "64"], "expected 1 <= usual-batch <= max-batch, found 64 and 32"),
        (["--tensorrt-engine.usual-tokens", "0"], "expected 1 token or more"),
    ],
)
def test_options_that_contradict_one_another_are_refused(
    encoded: Encoded, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(encoded("snn").bundle), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_ranges_go_from_one_sample_and_one_token_up(encoded: Encoded) -> None:
    modalities = encoded("resnet").run.modalities
    found = EngineOptions(32, 8, 5).ranges(modalities)
    assert (found["text"].least, found["text"].usual, found["text"].most) == ((1, 1), (8, 5), (32, 12))
    assert (found["image"].least, found["image"].most) == ((1, 3, 16, 16), (32, 3, 16, 16))
    assert (found["present"].least, found["present"].usual, found["present"].most) == ((1, 2), (8, 2), (32, 2))
    assert EngineOptions().ranges(modalities)["text"].usual == (8, 12)
    with pytest.raises(ExportError, match="at most the 12 of a text here, found 13"):
        EngineOptions(usual_tokens=13).ranges(modalities)


def test_without_its_own_graph_there_are_no_eight_bits(encoded: Encoded) -> None:
    bundle = encoded("snn").bundle
    with pytest.raises(ExportError, match=r"expected engines/int8\.onnx in the bundle, found none"):
        graph_of(bundle, Manifest.read(bundle), "int8")
