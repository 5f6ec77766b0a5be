"""What a finished run itself says of raw samples, with torch alone: the measure of bundles and services."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from bundle.answer import Prediction, softmax
from bundle.modalities import Payload
from export.calibrate import Wanted, measure
from training.checkpoint import Checkpoint

Held = dict[str, Path | str | dict[str, float | None]]
"""One held-out sample, by modality: a file, or the value itself."""


def held_out(table: Path, modalities: Sequence[str], count: int) -> list[Held]:
    """Some rows of a table's test split."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    assert len(rows) >= count
    return [{name: _cell(table.parent, row, name) for name in modalities} for row in rows[:count]]


def _cell(folder: Path, row: dict[str, str], name: str) -> Path | str | dict[str, float | None]:
    if name == "genomics":
        return {key: float(value) if value else None for key, value in row.items() if key.startswith("gene_")}
    return row[name] if name == "text" else folder / row[name]


def payloads(sample: Held) -> dict[str, Payload]:
    """The same sample with the files read."""
    return {name: value.read_bytes() if isinstance(value, Path) else value for name, value in sample.items()}


def agrees(run: Checkpoint, sample: Held, answer: Prediction, tolerance: float = 1e-4) -> None:
    """Assert that an answer is that of the trained model: every class, and what each modality says by itself."""
    raw = payloads(sample)
    batch = {
        name: torch.from_numpy(modality.stack([modality.normalise(modality.decode(raw[name]))]))
        for name, modality in run.modalities.items()
    }
    with torch.inference_mode():
        out = run.model()(batch)
    measured = measure(run, Wanted())
    temperatures, farthest = measured.calibration, 1.0
    own_factor = {}
    for name in run.modalities:
        distance = float(run.model().shifts[name](out.features[name])[0])
        own_factor[name] = max(1.0, distance / measured.shifts[name]) ** 2 if name in measured.shifts else 1.0
        farthest = max(farthest, own_factor[name])
    probable = softmax(out.logits.numpy(), temperatures.fused * farthest)[0].tolist()
    fused: Mapping[str, float] = dict(zip(run.labels, probable, strict=True))
    found = {entry.label: entry.probability for entry in answer.predictions}
    assert found.keys() == fused.keys()
    assert max(abs(found[label] - fused[label]) for label in fused) <= tolerance
    assert answer.modalities.keys() == run.modalities.keys()
    best = run.labels.index(answer.predictions[0].label)
    for name, own in answer.modalities.items():
        alone = softmax(out.shares[name].numpy(), own_factor[name] * temperatures.shares.get(name, 1.0))[0]
        assert abs(own.confidence - alone[best]) <= tolerance, name
