"""The bundle and its media, and the program in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from serving.offline.__main__ import main
from tests.serving.offline import pairs

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `bundle` and `media`; tables are written beside them."""
    made = tmp_path_factory.mktemp("offline")
    pairs.build(made)
    return made


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program on a table: exit code, standard output, standard error."""

    def started(table: Path, out: Path, *arguments: str) -> tuple[int, str, str]:
        batch = () if "--batch" in arguments else ("--batch", "4")
        given = [str(folder / "bundle"), "--table", str(table), "--out", str(out), *batch, *arguments]
        code = main(given)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return started
