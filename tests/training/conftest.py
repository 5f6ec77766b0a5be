"""Media and a table that the tests of training share, written once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState

from tests.training.tables import QUICK, Row, make_rows, write_csv
from training.command import parse
from training.config import Config
from training.fit import main

Fit = Callable[..., int]
Refused = Callable[..., list[str]]


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Rows of a table with all six modalities and a split, whose files exist."""
    return make_rows(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for decoded samples that all tests share."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def rows(media: list[Row]) -> list[Row]:
    """A copy that a test may change."""
    return [dict(row) for row in media]


@pytest.fixture
def table(rows: list[Row], tmp_path: Path) -> Path:
    """All of it as a CSV file."""
    return write_csv(tmp_path / "table.csv", rows)


@pytest.fixture(autouse=True)
def _fresh_accelerator() -> None:
    """Accelerate keeps its state for the whole process; every test starts without."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture
def fit(tmp_path: Path, decoded: Path) -> Fit:
    """Run the program on a table, quickly; returns the exit code."""

    def run(table: Path, *options: object, out: Path | None = None) -> int:
        named = ("--dataset", "table", "--dataset.path", table, "--out", out or tmp_path / "run", "--cache", decoded)
        return main([*map(str, named), *QUICK, *map(str, options)])

    return run


@pytest.fixture
def configure(tmp_path: Path, decoded: Path) -> Callable[..., Config]:
    """The configuration of a quick training on a table."""

    def build(table: Path, *options: object) -> Config:
        named = ("--dataset", "table", "--dataset.path", table, "--out", tmp_path / "run", "--cache", decoded)
        return parse([*map(str, named), *QUICK, *map(str, options)]).config

    return build


@pytest.fixture
def refused(fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run on a table that must be refused; returns the lines of the error."""

    def run(table: Path, *options: object) -> list[str]:
        assert fit(table, "--method", "joint", *options) == 2
        captured = capsys.readouterr()
        assert "epoch" not in captured.out, "nothing was trained"
        assert not (tmp_path / "run" / "config.json").exists(), "the folder is free for another try"
        first, *others = captured.err.splitlines()
        assert first.startswith("error: ")
        assert all(line.startswith("  ") for line in others)
        return [first.removeprefix("error: "), *(line.strip() for line in others)]

    return run
