"""Shards have every row once, and one after the other they are the whole."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.offline.plan import Shard
from tests.serving.offline import pairs
from tests.serving.offline.conftest import Run


@given(st.integers(1, 500), st.integers(1, 40))
def test_shards_part_all_rows_evenly_and_in_their_order(total: int, count: int) -> None:
    bounds = [Shard(number, count).rows(total) for number in range(1, count + 1)]
    assert [row for start, stop in bounds for row in range(start, stop)] == list(range(total))
    sizes = {stop - start for start, stop in bounds}
    assert max(sizes) - min(sizes) <= 1


def test_the_names_of_shards_sort_as_their_rows_do() -> None:
    paths = [Shard(number, 16).path(Path("x/answers.parquet")).name for number in range(1, 17)]
    assert paths[2] == "answers-03-of-16.parquet" and sorted(paths) == paths
    assert Shard().path(Path("x/answers.parquet")) == Path("x/answers.parquet")


def test_the_answers_of_shards_are_those_of_the_whole(folder: Path, tmp_path: Path, run: Run) -> None:
    table = pairs.write(folder / "shards.csv", 50)
    assert run(table, tmp_path / "whole.csv", "--part", "8", "--batch", "1")[0] == 3
    header, *whole = (tmp_path / "whole.csv").read_text().splitlines()
    assert len(whole) == 50 and [line.split(",")[0] for line in whole] == [f"n{number}" for number in range(50)]
    found: list[str] = []
    for number in range(1, 4):
        out = tmp_path / "answers.csv"
        assert run(table, out, "--shard", f"{number}/3", "--part", "5", "--batch", "1")[0] == 3
        first, *lines = (tmp_path / f"answers-{number}-of-3.csv").read_text().splitlines()
        assert first == header
        found += lines
    assert found == whole


def test_more_shards_than_rows_leave_some_empty(folder: Path, tmp_path: Path, run: Run) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pairs.write(folder / "few.csv", 2, broken=0)
    found = []
    for number in range(1, 4):
        assert run(table, tmp_path / "answers.parquet", "--shard", f"{number}/3")[0] == 0
        found.append(parquet.read_table(tmp_path / f"answers-{number}-of-3.parquet"))
    assert [part.num_rows for part in found] == [0, 1, 1]
    assert len({str(part.schema) for part in found}) == 1
