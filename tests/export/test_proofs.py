"""Every proof of an export refuses what it is there for, by its own name, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from bundle.manifest import GRAPH
from export import assemble as assembling
from export.__main__ import main
from export.assemble import assemble
from export.errors import AxisMismatch, ExportError, OutputMismatch, ShapeMismatch, ValueMismatch
from export.feeds import random_feed
from export.graph import Graph, declare
from export.parity import load, prove_axes, prove_names, prove_values
from tests.export.altered import (
    Change,
    another_output,
    changed,
    fewer_coalitions,
    fixed_batch,
    fixed_batch_of_answers,
    floats_for_pixels,
    free_height,
    free_mask,
    infinite_distance,
    looking_at_what_is_absent,
    no_mask,
    not_a_number,
    numbers_for_the_mask,
    one_axis_more,
    one_input_more,
    one_output_more,
    perturbed,
    perturbed_coalition,
    perturbed_distance,
    reshaped_to_the_traced_batch,
    saved,
    shifted_coalitions,
    shifted_logits,
    two_batches,
)
from tests.export.conftest import Exported

NAMES = (another_output, one_output_more, one_input_more, floats_for_pixels, no_mask, numbers_for_the_mask)
AXES = (fixed_batch, fixed_batch_of_answers, free_height, two_batches, free_mask, fewer_coalitions)
SHAPES = (one_axis_more, reshaped_to_the_traced_batch)
VALUES = (perturbed, not_a_number, perturbed_coalition, perturbed_distance, infinite_distance)


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
    with pytest.raises(ValueMismatch, match=r"logits .*share_genomics .*coalitions .*shift_genomics"):
        prove_values(saved(changed(one, change), tmp_path), graph, [feed], list(declaration.outputs))


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
        (shifted_coalitions, ValueMismatch),
        (looking_at_what_is_absent, ValueMismatch),
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
