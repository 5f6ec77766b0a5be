"""The comparison on the real data sets: each with options that can be, and those that are absent are skipped."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import ask_real_data, real_data
from benchmarks.real_data import SETS, command, main
from training.comparison.cells import cells_of
from training.comparison.options import read


@pytest.mark.parametrize("name", list(SETS))
def test_the_options_of_a_set_are_those_of_a_training(name: str) -> None:
    options, common, tables = read(command(name, ["--methods", "joint", "infobridge", "--seeds", "1"], Path("out")))
    joint, bridge = cells_of(tables, common, options)
    assert joint.folder == Path("out") / name / "joint" / "0"
    assert bridge.folder == Path("out") / name / ask_real_data.RUN, "where its answers are asked for"
    assert joint.config.dataset_options.path == real_data.DATA / name / "table.csv"
    assert len(joint.config.modalities) == 2


def test_every_set_that_is_there_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("grid_colour", "her2st"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").touch()
    asked: list[Sequence[str]] = []
    codes = iter((0, 1, 130))

    def compare(arguments: Sequence[str]) -> int:
        asked.append(arguments)
        return next(codes)

    monkeypatch.setattr(real_data, "DATA", tmp_path)
    monkeypatch.setattr(real_data, "compare", compare)
    assert main(["--preset", "table1", "--epochs", "3", "--out", "runs"]) == 1, "one had a failure"
    assert [arguments[-1] for arguments in asked] == ["runs/grid_colour", "runs/her2st"]
    assert all(" ".join(arguments).count("--preset table1 --epochs 3 --out") == 1 for arguments in asked)
    assert f"openclipart: skipped, there is no {tmp_path / 'openclipart' / 'table.csv'}" in capsys.readouterr().out
    assert main(["--preset", "table1"]) == 130 and len(asked) == 3, "an interruption ends it"
