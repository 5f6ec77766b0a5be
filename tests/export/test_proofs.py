"""Every proof of an export refuses what it is there for, by its own name, and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bundle.manifest import GRAPH
from export import assemble as assembling
from export.__main__ import main
from export.assemble import assemble
from export.errors import AxisMismatch, ExportError, OutputMismatch, ShapeMismatch, ValueMismatch
from export.feeds import random_feed
from export.graph import Graph, declare
from export.parity import load, prove_alone, prove_axes, prove_names, prove_shares, prove_values
from tests.export.conftest import Exported

Change = Callable[[onnx.ModelProto], None]


def size(value: Any, position: int) -> Any:
    return value.type.tensor_type.shape.dim[position]


def another_output(model: onnx.ModelProto) -> None:
    name = model.graph.output[1].name
    for node in model.graph.node:
        node.input[:] = ["share" if entry == name else entry for entry in node.input]
        node.output[:] = ["share" if entry == name else entry for entry in node.output]
    model.graph.output[1].name = "share"


def one_output_more(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Neg", ["logits"], ["context"]))
    model.graph.output.append(helper.make_tensor_value_info("context", TensorProto.FLOAT, ["batch", 3]))


def one_input_more(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))


def floats_for_pixels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def fixed_batch(model: onnx.ModelProto) -> None:
    size(model.graph.input[0], 0).dim_value = 2


def fixed_batch_of_answers(model: onnx.ModelProto) -> None:
    size(model.graph.output[0], 0).dim_value = 2


def free_height(model: onnx.ModelProto) -> None:
    size(model.graph.input[0], 2).dim_param = "height"


def two_batches(model: onnx.ModelProto) -> None:
    size(model.graph.input[1], 0).dim_param = "another"


def wrap(model: onnx.ModelProto, *nodes: onnx.NodeProto, **constants: Any) -> None:
    """Let `nodes` compute `logits` from what was `logits` before, now called `before`."""
    for node in model.graph.node:
        node.output[:] = ["before" if entry == "logits" else entry for entry in node.output]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(nodes)


def one_axis_more(model: onnx.ModelProto) -> None:
    wrap(model, helper.make_node("Unsqueeze", ["before", "first"], ["logits"]), first=np.array([0]))


def reshaped_to_the_traced_batch(model: onnx.ModelProto) -> None:
    wrap(model, helper.make_node("Reshape", ["before", "traced"], ["logits"]), traced=np.array([2, 3]))


def weight(model: onnx.ModelProto) -> onnx.TensorProto:
    [found] = [entry for entry in model.graph.initializer if entry.name == "model.fusion.heads.genomics.weight"]
    return found


def perturbed(model: onnx.ModelProto) -> None:
    found = weight(model)
    values = numpy_helper.to_array(found).copy()
    values[0, 0] += 0.05
    found.CopyFrom(numpy_helper.from_array(values, found.name))


def not_a_number(model: onnx.ModelProto) -> None:
    found = weight(model)
    values = numpy_helper.to_array(found).copy()
    values[0, 0] = np.nan
    found.CopyFrom(numpy_helper.from_array(values, found.name))


def shifted_logits(model: onnx.ModelProto) -> None:
    """The same for every class, so that no probability changes."""
    wrap(model, helper.make_node("Add", ["before", "shift"], ["logits"]), shift=np.full((1, 3), 0.5, np.float32))


def centred_on_the_batch(model: onnx.ModelProto) -> None:
    mean = helper.make_node("ReduceMean", ["before", "first"], ["batch_mean"], keepdims=1)
    wrap(model, mean, helper.make_node("Sub", ["before", "batch_mean"], ["logits"]), first=np.array([0]))


NAMES = (another_output, one_output_more, one_input_more, floats_for_pixels)
AXES = (fixed_batch, fixed_batch_of_answers, free_height, two_batches)
SHAPES = (one_axis_more, reshaped_to_the_traced_batch)
VALUES = (perturbed, not_a_number)


def changed(one: Exported, change: Change) -> onnx.ModelProto:
    model = onnx.load(one.bundle / GRAPH)
    change(model)
    return model


def saved(model: onnx.ModelProto, folder: Path) -> Any:
    onnx.save(model, folder / GRAPH)
    return load(folder / GRAPH)


@pytest.mark.parametrize("change", NAMES)
def test_other_names_or_types_are_an_output_mismatch(one: Exported, change: Change) -> None:
    with pytest.raises(OutputMismatch, match="declared"):
        prove_names(changed(one, change), declare(one.run.modalities, 3))


@pytest.mark.parametrize("change", AXES)
def test_other_axes_are_an_axis_mismatch(one: Exported, change: Change) -> None:
    model, declaration = changed(one, change), declare(one.run.modalities, 3)
    prove_names(model, declaration)
    with pytest.raises(AxisMismatch, match=r"declared .*'batch'.*, the graph has"):
        prove_axes(model, declaration)


@pytest.mark.parametrize("change", SHAPES)
def test_other_shapes_are_a_shape_mismatch(one: Exported, change: Change, tmp_path: Path) -> None:
    declaration = declare(one.run.modalities, 3)
    graph = Graph(one.run.model(), declaration)
    feed = random_feed(one.run.modalities, 5, np.random.default_rng(0))
    session = saved(changed(one, change), tmp_path)
    with pytest.raises(ShapeMismatch, match="torch"):
        prove_values(session, graph, [feed], list(declaration.outputs))


@pytest.mark.parametrize("change", VALUES)
def test_other_values_are_a_value_mismatch(one: Exported, change: Change, tmp_path: Path) -> None:
    declaration = declare(one.run.modalities, 3)
    graph = Graph(one.run.model(), declaration)
    feed = random_feed(one.run.modalities, 5, np.random.default_rng(0))
    with pytest.raises(ValueMismatch, match=r"logits .*share_pathology .*share_genomics"):
        prove_values(saved(changed(one, change), tmp_path), graph, [feed], list(declaration.outputs))


def test_shares_that_do_not_add_up_are_a_value_mismatch(one: Exported, tmp_path: Path) -> None:
    declaration = declare(one.run.modalities, 3)
    graph = Graph(one.run.model(), declaration)
    feed = random_feed(one.run.modalities, 5, np.random.default_rng(0))
    session = saved(changed(one, shifted_logits), tmp_path)
    prove_values(session, graph, [feed], list(declaration.outputs))
    with pytest.raises(ValueMismatch, match="do not add up"):
        prove_shares(session, [feed])


def test_an_answer_that_depends_on_its_batch_mates_is_a_value_mismatch(one: Exported, tmp_path: Path) -> None:
    feed = random_feed(one.run.modalities, 3, np.random.default_rng(0))
    alone = [{name: array[row : row + 1] for name, array in feed.items()} for row in range(3)]
    prove_alone(load(one.bundle / GRAPH), feed, alone)
    with pytest.raises(ValueMismatch, match="alone and in a batch"):
        prove_alone(saved(changed(one, centred_on_the_batch), tmp_path), feed, alone)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ExportError, match="does not load"):
        load(tmp_path / GRAPH)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (one_output_more, OutputMismatch),
        (fixed_batch, AxisMismatch),
        (reshaped_to_the_traced_batch, ShapeMismatch),
        (perturbed, ValueMismatch),
        (shifted_logits, ValueMismatch),
    ],
)
def test_a_failed_proof_leaves_no_folder(
    one: Exported,
    change: Change,
    error: type[ExportError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(assembling, "to_onnx", lambda *arguments: changed(one, change))
    with pytest.raises(error):
        assemble(one.run, tmp_path / "bundle", "bundle")
    assert main([str(one.run.folder), "--to", str(tmp_path / "bundle")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not list(tmp_path.iterdir())
