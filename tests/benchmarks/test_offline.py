"""The benchmark of offline runs measures what it says, on a table of a few rows."""

import csv
import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks import offline
from benchmarks.offline import Cost, Options, check_shards, command, generate, side_by_side, speedup

CORE = min(os.sched_getaffinity(0))
SMALL = Options(rows=30, broken=3, pixels=16, batch=4)


def test_the_broken_rows_are_as_many_as_asked_for(tmp_path: Path) -> None:
    generate(tmp_path, SMALL)
    side_by_side([command(tmp_path, tmp_path / "whole.csv", 4)], [CORE], (3,))
    for shard in ("1/2", "2/2"):
        side_by_side([command(tmp_path, tmp_path / "shards.csv", 4, "--shard", shard)], [CORE], (0, 3))
    with (tmp_path / "whole.csv").open(newline="") as file:
        kinds = [row["error_kind"] for row in csv.DictReader(file)]
    assert len(kinds) == 30 and [kind for kind in kinds if kind] == ["unsupported-media", *["invalid-call"] * 2]
    check_shards(tmp_path / "whole.csv", tmp_path / "shards.csv")
    second = tmp_path / "shards-2-of-2.csv"
    second.write_text(second.read_text().replace("image-text", "other", 1))
    with pytest.raises(RuntimeError, match="expected the same rows"):
        check_shards(tmp_path / "whole.csv", tmp_path / "shards.csv")


def test_ratios_are_medians_of_rounds() -> None:
    one = [Cost(10.0, 4.0), Cost(30.0, 4.0), Cost(12.0, 5.0)]
    two = [Cost(5.0, 4.0), Cost(10.0, 5.0), Cost(4.0, 10.0)]
    assert speedup(one, two) == (3.0, 1.25)


def test_processor_time_is_that_of_all_processes() -> None:
    busy = "import time\nwhile time.process_time() < {}: pass"
    started = time.process_time()
    cost = side_by_side([[sys.executable, "-c", busy.format(0.3)]] * 2, [CORE, CORE], (0,))
    assert cost.processor >= 0.6 and cost.wall > 0 and time.process_time() - started < cost.processor
    with pytest.raises(RuntimeError, match="found 7"):
        side_by_side([[sys.executable, "-c", "raise SystemExit(7)"]], [CORE], (0,))


def test_without_ray_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(offline, "find_spec", lambda name: None)
    offline.compare_engines(tmp_path, SMALL)
    assert "Ray Data is not installed" in capsys.readouterr().out
