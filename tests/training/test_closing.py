"""What is told and kept of an epoch."""

import json
import re
from pathlib import Path

import pytest

from tests.training.conftest import Fit
from training.closing import Closing
from training.evaluate import Evaluation
from training.gradients import Pulls

PULLS = Pulls({"task": {"audio": 3.0, "video": 1.0}}, {"audio": 3.0, "video": 1.0})
COALITIONS = {"": 0.25, "audio": 0.7, "video": 0.4, "audio+video": 0.8}


def closing(pulls: Pulls = PULLS, **diagnostics: float) -> Closing:
    validation = Evaluation(0.8, 0.75, {"audio": 0.71, "video": 0.41}, 50, COALITIONS)
    return Closing(3, {"task": 0.5, "information": 1.25}, validation, diagnostics, pulls)


def test_the_line_shows_how_balanced_the_modalities_are() -> None:
    assert closing().line(absent=False) == (
        "loss 1.750, val 0.800 (audio 0.71, video 0.41), gradient audio 75% / video 25%"
    )
    assert closing(information=-0.276, other=9.0).line(absent=True) == (
        "loss 1.750, val 0.800 (audio 0.71, video 0.41), without audio 0.40, without video 0.70, information -0.28, "
        "gradient audio 75% / video 25%"
    )
    assert closing(Pulls()).line(absent=False) == "loss 1.750, val 0.800 (audio 0.71, video 0.41)"


def test_the_entry_keeps_it_all() -> None:
    entry = closing(information=0.5).entry()
    assert entry["epoch"] == 3 and entry["information"] == 0.5 and entry["loss"]["information"] == 1.25
    assert entry["gradient_norms"] == PULLS.terms and entry["gradient_shares"] == {"audio": 0.75, "video": 0.25}
    assert entry["validation"]["coalition_accuracy"] == COALITIONS


def test_a_training_prints_and_keeps_each_modalitys_part(
    fit: Fit, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(table, "--modalities", "image", "genomics", "--epochs", 2, "--modality-dropout", 0.3) == 0
    history = json.loads((tmp_path / "run" / "history.json").read_text("utf-8"))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == len(history) == 2
    for line, entry in zip(lines, history, strict=True):
        shares = entry["gradient_shares"]
        assert sum(shares.values()) == pytest.approx(1) and set(shares) == {"image", "genomics"}
        assert f"gradient image {shares['image']:.0%} / genomics {shares['genomics']:.0%}" in line
        found = re.search(r"without image (\S+), without genomics (\S+),", line)
        accuracies = entry["validation"]["coalition_accuracy"]
        assert found and [*found.groups()] == [f"{accuracies[name]:.2f}" for name in ("genomics", "image")]
        assert f"information {entry['information']:.2f}" in line
