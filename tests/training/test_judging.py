"""The verdict on a training: what it is held against, on which samples, and where it is told."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import Fit
from training import scoring
from training.checkpoint import SCORES, read
from training.evaluate import Scores
from training.judging import dependence, judge, predictions
from training.measures.verdict import verdict

NAMES = ("video", "audio")
CLASSES = ("one", "two", "the\nthird")


def scores(count: int, seed: int, good: float, groups: int | None = None) -> Scores:
    """Video alone is right in a share of samples, audio alone in the rest, both together always."""
    labels = np.random.default_rng(seed).integers(0, 3, count)
    right = np.arange(count) < good * count
    chosen = [np.zeros(count, np.int64), np.where(right, labels, (labels + 1) % 3), np.where(right, 0, labels), labels]
    coalitions = np.stack([np.eye(3, dtype=np.float32)[each] for each in chosen], axis=1)
    shares = {name: coalitions[:, 1 + place] for place, name in enumerate(NAMES)}
    of = None if groups is None else np.arange(count) % groups
    return Scores(labels, np.arange(count), coalitions[:, 3], shares, coalitions, groups=of)


def test_the_best_modality_is_chosen_on_validation() -> None:
    splits = {"val": scores(60, 0, 0.2), "test": scores(90, 1, 0.9)}
    found = judge(splits, CLASSES, NAMES)
    assert found.best == "audio" and list(found.alone) == ["video", "audio"]
    test = splits["test"]
    given = {name: test.coalitions[:, k].argmax(axis=1) for k, name in ((1, "video"), (2, "audio"), (3, "video+audio"))}
    assert found == verdict(test.labels, given, ("one", "two", "the third"), None, "audio")
    assert found.fused.value == 1.0 and found.gain.verdict == "better"
    assert set(predictions(test, NAMES)) == set(given)


def test_groups_are_resampled_where_there_are_enough() -> None:
    alone = judge({"val": scores(60, 0, 0.2), "test": scores(120, 1, 0.6)}, CLASSES, NAMES)
    grouped = judge({"val": scores(60, 0, 0.2), "test": scores(120, 1, 0.6, 12)}, CLASSES, NAMES)
    assert alone.alone["video"].value == grouped.alone["video"].value and alone.alone != grouped.alone
    few = judge({"val": scores(60, 0, 0.2), "test": scores(120, 1, 0.6, 3)}, CLASSES, NAMES)
    assert replace(few, sentences=few.sentences[:-1]) == alone
    assert few.sentences[-1].startswith("The 120 samples are of 3 groups, too few to resample (at least 10): intervals")


@pytest.mark.parametrize(("groups", "said"), [(None, ""), (12, ""), (120, ""), (1, "of one group, too few")])
def test_what_intervals_take_for_independent_is_said(groups: int | None, said: str) -> None:
    found = dependence(scores(120, 1, 0.6, groups))
    assert (said in found) if said else found == ""


def test_a_training_ends_with_its_verdict(
    fit: Fit, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(table, "--method", "joint", "--modalities", "image", "genomics") == 0
    out = capsys.readouterr().out
    run = read(tmp_path / "run")
    expected = judge(scoring.load(tmp_path / "run" / SCORES), run.labels, tuple(run.modalities))
    assert run.verdict == expected.sentences and len(run.verdict) >= 3
    told = out.split("verdict, on test")[1].splitlines()[1:]
    assert [line.strip() for line in told] == list(expected.sentences)
    kept = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["verdict"]
    assert kept == json.loads(json.dumps(asdict(expected)))


def test_a_run_without_a_verdict_can_be_read(fit: Fit, table: Path, tmp_path: Path) -> None:
    assert fit(table, "--method", "joint", "--modalities", "image", "genomics") == 0
    path = tmp_path / "run" / "run.json"
    content = json.loads(path.read_text("utf-8"))
    del content["verdict"]
    path.write_text(json.dumps(content), "utf-8")
    assert read(tmp_path / "run").verdict == ()
