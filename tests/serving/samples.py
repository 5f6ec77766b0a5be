"""Bundles and requests for tests of the service."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from pydantic import TypeAdapter

from bundle import selfcheck
from bundle.manifest import FILE, GOLDEN, GRAPH, Calibration, Expectation, Manifest, sha256
from bundle.predictor import Predictor
from tests.bundles import build_bundle, tiny_modality

Part = tuple[str | None, bytes | str]
FACTS = {
    "calibration": Calibration(2.0, {"text": 0.5}, {"genomics": 1.5}),
    "expectations": {
        "text": Expectation(0.6, 0.5, 0.7, 90),
        "genomics": Expectation(0.7, 0.6, 0.8, 90),
        "text+genomics": Expectation(0.8, 0.7, 0.9, 90),
    },
    "shifts": {"genomics": 10.0},
    "abstain_below": 0.35,
}
"""What the fragile bundle states of itself."""
POISON = "river"
"""A word that the fragile bundle's graph fails on: its id is outside of the graph's table."""


def payloads(modalities: tuple[str, ...], seed: int = 0) -> dict[str, bytes]:
    generator = np.random.default_rng(seed)
    return {name: tiny_modality(name).example(generator) for name in modalities}


def upload(sample: dict[str, bytes]) -> dict[str, Part]:
    """Every payload as a file, as httpx takes it."""
    return {name: (f"{name}.bin", content) for name, content in sample.items()}


def rehash(folder: Path) -> None:
    """Make the manifest agree with the files of a bundle that a test has changed."""
    text = (folder / FILE).read_text()
    for name, digest in json.loads(text)["files"].items():
        text = text.replace(digest, sha256(folder / name))
    (folder / FILE).write_text(text)


def build_fragile(folder: Path) -> Path:
    """A text + genomics bundle whose graph fails, for the whole batch, where a text holds `POISON`."""
    build_bundle(folder, ("text", "genomics"), name="fragile")
    model = onnx.load(folder / GRAPH)
    graph = model.graph
    product = next(node for node in graph.node if node.output[0] == "share_text")
    product.output[0] = "share_text_before"
    graph.initializer.append(numpy_helper.from_array(np.zeros(5, np.float32), "table"))
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "over_tokens"))
    position = list(graph.node).index(product) + 1
    for node in (
        helper.make_node("Add", ["share_text_before", "looked_up"], ["share_text"]),
        helper.make_node("ReduceSum", ["looked_up_each", "over_tokens"], ["looked_up"], keepdims=1),
        helper.make_node("Gather", ["table", "text"], ["looked_up_each"]),
    ):
        graph.node.insert(position, node)
    replace_graph(folder, model)
    return state(folder, **FACTS)


def state(folder: Path, **facts: Any) -> Path:
    """Write further facts into a bundle's manifest, as an export states them."""
    content = json.loads((folder / FILE).read_text()) | TypeAdapter(dict[str, Any]).dump_python(facts, mode="json")
    (folder / FILE).write_text(json.dumps(content))
    Manifest.read(folder)
    return folder


def replace_graph(folder: Path, model: onnx.ModelProto) -> None:
    """Give a text + genomics bundle another graph, and golden samples that it reproduces."""
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(folder / GRAPH))
    rehash(folder)
    predictor = Predictor(folder)
    golden = [{"text": b"red house", "genomics": b'{"gene_A": 1.5}'}]
    arrays = [predictor.prepare(sample) for sample in golden]
    selfcheck.write_golden(arrays, golden, predictor.run(arrays), folder / GOLDEN)
    rehash(folder)
