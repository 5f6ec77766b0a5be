"""Surveys: counts beside the published ones, files that are none, and where a layout begins."""

from pathlib import Path

import pytest

from tests.training.datasets.layouts import POINTER
from training.errors import DataError
from training.survey import Count, absence, first_with, framed, require


def test_a_count_says_whether_it_is_the_published_one() -> None:
    assert Count("clips", 7442, 7442).line() == "7,442 clips: as published"
    assert Count("clips", 7441, 7442).line() == "7,441 clips: published are 7,442"
    assert Count("clips", 7441).line() == "7,441 clips"


def test_rows_of_different_cells_become_one_table_of_strings() -> None:
    frame = framed([{"a": "1"}, {"b": "NA"}], ["first", "second"])
    assert frame.to_dict("list") == {"a": ["1", ""], "b": ["", "NA"]} and list(frame.index) == ["first", "second"]


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for name, content in (("whole", b"x"), ("empty", b""), ("pointer", POINTER), ("long", POINTER + b"x" * 1024)):
        (tmp_path / name).write_bytes(content)
    assert absence(tmp_path / "whole") is None and absence(tmp_path / "long") is None
    assert absence(tmp_path / "empty") == f"{tmp_path / 'empty'} is empty"
    assert "pointer of Git LFS" in str(absence(tmp_path / "pointer"))
    assert absence(tmp_path / "nowhere") == absence(tmp_path).replace(str(tmp_path), str(tmp_path / "nowhere"))  # type: ignore[union-attr]


def test_a_layout_is_found_in_a_folder_or_one_below(tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "outer" / "inner" / name).touch()
    assert first_with([tmp_path, tmp_path / "outer"], "a", "b") == tmp_path / "outer" / "inner"
    assert first_with([tmp_path / "outer"], "a", "c") is None and first_with([tmp_path / "nowhere"], "a") is None
    with pytest.raises(DataError, match=r"expected a folder with a and c in .*; to obtain it: the moon"):
        require([tmp_path / "outer"], "a", "c", obtain="the moon")
