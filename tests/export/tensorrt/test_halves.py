"""Graphs in sixteen bits that engines are built from: what they are made of, and how far the answers move."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bundle.execution import Precision
from bundle.manifest import GRAPH, Manifest
from export.errors import ExportError
from export.feeds import random_feed
from export.parity import difference, load, run
from export.promises import prove_absence, prove_coalitions, prove_shares
from export.to_tensorrt import graph_of
from tests.export.conftest import Exported
from tests.export.tensorrt.conftest import WANTED

Encoded = Callable[[str], Exported]


@pytest.mark.parametrize("name", WANTED)
def test_answers_move_little_and_promises_are_kept(encoded: Encoded, name: str, tmp_path: Path) -> None:
    found = encoded(name)
    before = (found.bundle / GRAPH).read_bytes()
    (tmp_path / GRAPH).write_bytes(graph_of(found.bundle, Manifest.read(found.bundle), "fp16"))
    types = {tensor.data_type for tensor in onnx.load(tmp_path / GRAPH).graph.initializer}
    assert {TensorProto.FLOAT16, TensorProto.FLOAT} <= types
    session = load(tmp_path / GRAPH)
    feed = random_feed(found.run.modalities, 5, np.random.default_rng(1))
    expected, halved = run(load(found.bundle / GRAPH), feed), run(session, feed)
    apart = {output: difference(output, halved[output], values) for output, values in expected.items()}
    assert 0 < max(apart.values()) < 0.02, apart
    prove_shares(session, [feed])
    prove_coalitions(session, [feed], tuple(found.run.modalities))
    prove_absence(session, found.run.modalities, [feed])
    assert (found.bundle / GRAPH).read_bytes() == before


@pytest.mark.parametrize("own", ["fp16", "bf16", "int8"])
@pytest.mark.parametrize("asked", ["fp32", "fp16", "bf16", "int8"])
def test_no_engine_is_built_from_a_graph_in_fewer_bits(encoded: Encoded, own: Precision, asked: Precision) -> None:
    bundle = encoded("snn").bundle
    stated = replace(Manifest.read(bundle), precision=own)
    with pytest.raises(ExportError, match=f"a bundle whose graph is in 32 bits to make {asked} of, found one in {own}"):
        graph_of(bundle, stated, asked)
