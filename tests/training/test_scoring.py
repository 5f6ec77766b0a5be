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
