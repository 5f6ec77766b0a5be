"""A bundle's folder: written aside, proved, and renamed."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from bundle.manifest import FILE, GOLDEN, GRAPH, Input, Manifest, Tolerance, sha256
from bundle.predictor import Predictor
from bundle.selfcheck import SAMPLES, selfcheck, write_golden
from export.card import card
from export.errors import ExportError
from export.graph import Graph, declare
from export.parity import BATCHES, TOLERANCE, prove_axes, prove_names, prove_values, random_feed, stacked
from export.to_onnx import to_onnx
from training.checkpoint import Checkpoint

CARD = "model_card.md"


def assemble(run: Checkpoint, target: Path, name: str, overwrite: bool = False) -> float:
    """Export a finished run to a bundle; returns the largest difference of a probability between torch and ONNX.

    Everything is written to a temporary folder, proved there, and renamed: `target` is complete or absent.

    Raises:
        ExportError: a proof failed, or `target` exists.
        CheckpointError: the run's weights cannot be read.
        SelfCheckFailed: the bundle does not reproduce its own golden samples.
    """
    if target.exists() and not overwrite:
        raise ExportError(f"{target} exists; choose another --to, or --overwrite it")
    aside = target.with_name(f".{target.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        difference = _write(run, aside, name)
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return difference


def _write(run: Checkpoint, folder: Path, name: str) -> float:
    generator = np.random.default_rng(run.config.seed)
    payloads = [
        {entry: modality.example(generator) for entry, modality in run.modalities.items()} for _ in range(SAMPLES)
    ]
    declaration = declare(run.modalities, len(run.labels))
    graph = Graph(run.model(), declaration).eval()
    golden = stacked(run.modalities, payloads)
    examples = tuple(torch.from_numpy(golden[entry][:2]) for entry in graph.names)
    to_onnx(graph, declaration, examples, folder / GRAPH)
    model = onnx.load(folder / GRAPH)
    prove_names(model, declaration)
    prove_axes(model, declaration)
    feeds = [golden, *(random_feed(run.modalities, batch, generator) for batch in BATCHES)]
    difference = prove_values(folder / GRAPH, graph, feeds, list(declaration.outputs))
    for modality in run.modalities.values():
        for file, content in modality.files().items():
            (folder / file).write_bytes(content)
    facts = provenance(run)
    (folder / CARD).write_text(card(name, run, difference), encoding="utf-8")
    np.savez(folder / GOLDEN)
    _write_manifest(run, folder, name, facts)
    predictor = Predictor(folder)
    arrays = [predictor.prepare(sample) for sample in payloads]
    write_golden(arrays, payloads, predictor.run(arrays), folder / GOLDEN)
    _write_manifest(run, folder, name, facts)
    selfcheck(Predictor(folder))
    return difference


def provenance(run: Checkpoint) -> dict[str, Any]:
    """Where the bundle comes from: facts for people."""
    config = {key: value for key, value in asdict(run.config).items() if key not in ("out", "cache", "workers")}
    return {
        "dataset": run.config.dataset,
        "method": run.config.method,
        "seed": run.config.seed,
        "metrics": run.metrics,
        "config": _plain(config),
        **run.provenance,
    }


def _plain(value: Any) -> Any:
    """JSON values; a path shrinks to its name, since a bundle travels and its maker's folders do not."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.name if isinstance(value, Path) else value


def _write_manifest(run: Checkpoint, folder: Path, name: str, facts: dict[str, Any]) -> None:
    inputs = tuple(
        Input(entry, modality.name, modality.parameters(), modality.shape, modality.dtype)
        for entry, modality in run.modalities.items()
    )
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != FILE}
    manifest = Manifest(name, run.labels, inputs, files, facts, tolerance=Tolerance(probabilities=TOLERANCE))
    (folder / FILE).write_text(manifest.to_json(), encoding="utf-8")
