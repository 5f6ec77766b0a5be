"""A training that is killed again and again, wherever it is, ends as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.training.curves import curves
from tests.training.tables import QUICK
from tests.training.test_resume import METHODS, assert_same_runs

KILLS = 20
BRIDGE = (
    *("infobridge", "--method.variant", "protected", "--method.update", "alternate", "--method.critic-steps", "2"),
    *("--method.memory", "32", "--method.context", "cluster", "--modality-dropout", "0.3"),
)


def assert_survives(kills: int, seed: int, table: Path, out: Path, *options: str) -> None:
    """Train with and without being killed, and compare."""
    named = ("--dataset", "table", "--dataset.path", str(table), *QUICK, "--modalities", "image", "text")
    command = (sys.executable, "-W", "error", "-m", "tests.training.killing", str(kills), str(seed), str(out))
    found = subprocess.run(
        [*command, *named, "--epochs", "3", "--save-minutes", "0", "--method", *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    deaths = json.loads(found.stdout)
    assert len(deaths) == kills, deaths
    assert_same_runs(out / "whole", out / "killed")
    assert curves(out / "whole") == curves(out / "killed") != {}


def test_a_training_killed_twenty_times_ends_bit_for_bit_as_one_in_peace(table: Path, tmp_path: Path) -> None:
    assert_survives(KILLS, 1, table, tmp_path, *BRIDGE)


def test_so_does_one_whose_workers_read_ahead(table: Path, tmp_path: Path) -> None:
    """With workers, classes drawn evenly, momentum, and noise in the gradients."""
    more = ("--workers", "1", "--sampling", "balanced", "--optimiser", "sgd", "--learning-rate", "0.01")
    assert_survives(4, 2, table, tmp_path, "ogm_ge", *more)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("method", list(METHODS))
def test_so_does_every_method(method: str, seed: int, table: Path, tmp_path: Path) -> None:
    assert_survives(KILLS, seed, table, tmp_path, *METHODS[method])
