"""Real recordings, pictures and tissue, from table to answer; skipped where the data is absent (INFOBRIDGE_DATA)."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bundle.manifest import Manifest
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export.__main__ import main as export
from tests.trained import agrees, held_out, payloads
from training.checkpoint import read
from training.fit import main as fit

COUNTS = {"train": 36, "val": 12, "test": 12}
SMALL = {
    "audio": "--audio.rate 8000 --audio.window 256 --audio.hop 128 --audio.bins 32 --audio.encoder.width 16",
    "video": "--video.frames 2 --video.size 32 --video.encoder.width 16",
    "image": "--image.size 32 --image.encoder.width 16",
    "text": "--text.encoder.width 16 --text.encoder.layers 1 --text.encoder.heads 2 --text.vocabulary 500",
    "pathology": "--pathology.size 32 --pathology.encoder.width 16",
    "genomics": "--genomics.encoder.widths 16 8",
}


def subset(source: Path, folder: Path, media: Sequence[str], labels: int | None = None) -> Path:
    """A table of some rows of another, as many of each label, that names the media where they are.

    Args:
        source: the table.
        folder: of the new one.
        media: columns of paths.
        labels: how many labels are kept, the commonest; None for all.
    """
    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    if labels is not None:
        frame = frame[frame["label"].isin(frame["label"].value_counts().index[:labels])]
    each = {split: count // frame["label"].nunique() for split, count in COUNTS.items()}
    parts = [rows.head(each[str(split)]) for (split, _), rows in frame.groupby(["split", "label"])]
    found = pd.concat(parts)
    for column in media:
        found[column] = [str(source.parent / cell) for cell in found[column]]
    found.to_csv(folder / "table.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    return folder / "table.csv"


def train_and_compare(table: Path, modalities: tuple[str, ...], *more: str) -> Manifest:
    """Train, export, and ask the bundle and torch about held-out samples; returns what the bundle says of itself."""
    run, bundle = table.parent / "run", table.parent / "bundle"
    options = " ".join(SMALL[name] for name in modalities).split()
    options += ["--dataset", "table", "--dataset.path", str(table), "--modalities", *modalities]
    assert fit([*options, *more, "--epochs", "1", "--batch-size", "12", "--out", str(run)]) == 0
    assert export([str(run), "--to", str(bundle)]) == 0
    predictor = Predictor(bundle)
    assert selfcheck(predictor) == 4
    trained = read(run)
    samples = held_out(table, modalities, 6)
    for sample, answer in zip(samples, predictor.predict([payloads(sample) for sample in samples]), strict=True):
        agrees(trained, sample, answer)
    assert predictor.manifest.provenance["metrics"]["test"]["samples"] >= 6
    return predictor.manifest


def test_noisy_words_and_lips(real_data: Path, tmp_path: Path) -> None:
    table = subset(real_data / "grid_colour" / "table.csv", tmp_path, ("audio", "video"))
    assert train_and_compare(table, ("audio", "video")).labels == ("blue", "green", "red", "white")


def test_one_clip_with_sound_gives_both_modalities(real_data: Path, tmp_path: Path) -> None:
    table = subset(real_data / "grid_colour" / "table.csv", tmp_path, ("audio", "video"))
    frame = pd.read_csv(table, dtype=str)
    frame["audio"] = frame["video"]
    assert all(path.endswith(".mp4") for path in frame["audio"])
    frame.to_csv(table, index=False)
    manifest = train_and_compare(table, ("audio", "video"))
    [audio] = [entry for entry in manifest.inputs if entry.name == "audio"]
    assert 0.1 < audio.parameters["seconds"] < 2.0


def test_drawings_and_their_titles(real_data: Path, tmp_path: Path) -> None:
    table = subset(real_data / "openclipart" / "table.csv", tmp_path, ("image",), labels=3)
    assert len(train_and_compare(table, ("image", "text")).labels) == 3


def test_tissue_and_its_genes(real_data: Path, tmp_path: Path) -> None:
    table = subset(real_data / "her2st" / "table.csv", tmp_path, ("pathology",))
    manifest = train_and_compare(table, ("pathology", "genomics"), "--dataset.group", "section")
    assert manifest.labels == ("benign", "cancer")
    [genes] = [entry for entry in manifest.inputs if entry.name == "genomics"]
    assert genes.shape == (300,)
    assert manifest.provenance["data"]["groups"] >= 3
