"""A run's outputs, kept for comparisons sample by sample."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import Fit
from training import checkpoint, scoring
from training.checkpoint import read
from training.errors import CheckpointError
from training.evaluate import Scores, evaluate


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    shares = {name: generator.normal(size=(5, 3)).astype(np.float32) for name in ("audio", "video")}
    logits = (shares["audio"] + shares["video"]).T.copy().T  # not contiguous
    scores = {split: Scores(np.arange(5), np.arange(5) + 7, logits, shares) for split in ("val", "test")}
    scoring.save(scores, tmp_path / "scores.safetensors")
    found = scoring.load(tmp_path / "scores.safetensors")
    assert set(found) == {"val", "test"}
    for split, expected in scores.items():
        for part in ("labels", "samples", "logits"):
            assert np.array_equal(getattr(found[split], part), getattr(expected, part))
        assert list(found[split].shares) == ["audio", "video"]
        assert all(np.array_equal(found[split].shares[name], shares[name]) for name in shares)


def test_modalities_keep_the_order_that_the_coalitions_are_in(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    names = ("video", "text", "audio")
    shares = {name: generator.normal(size=(40, 3)).astype(np.float32) for name in names}
    together = generator.normal(size=(40, 8, 3)).astype(np.float32)
    labels = generator.integers(3, size=40)
    found = Scores(labels, np.arange(40), together[:, -1], shares, together, groups=np.arange(40) // 2)
    scoring.save({"test": found}, tmp_path / "scores.safetensors")
    [again] = scoring.load(tmp_path / "scores.safetensors").values()
    assert list(again.shares) == list(names)
    assert again.groups is not None and again.groups.tolist() == (np.arange(40) // 2).tolist()
    assert evaluate(again) == evaluate(found)
    only_text = (together[:, 2].argmax(axis=1) == labels).mean()
    assert evaluate(again).coalition_accuracy["text"] == only_text


def test_a_run_keeps_the_outputs_its_metrics_were_computed_from(fit: Fit, table: Path, tmp_path: Path) -> None:
    assert fit(table, "--method", "joint") == 0
    kept = scoring.load(tmp_path / "run" / checkpoint.SCORES)
    metrics = read(tmp_path / "run").metrics
    for split, name in (("val", "validation"), ("test", "test")):
        found = evaluate(kept[split])
        assert found.accuracy == metrics[name]["accuracy"]
        assert found.modality_accuracy == metrics[name]["modality_accuracy"]


@pytest.mark.parametrize("content", [None, b"no scores"])
def test_scores_that_are_absent_or_damaged_are_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "scores.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape("scores.safetensors")):
        scoring.load(path)
