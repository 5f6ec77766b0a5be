"""Open Clip Art: titles from the SVG, folders as labels, copies, and whole series in one split."""

import subprocess
from pathlib import Path

import pytest

from tests.training.datasets.openclipart_layout import TOPICS, openclipart
from training.config import Config
from training.datasets._openclipart_series import Drawing, series_of
from training.datasets.openclipart import LONG, PACKAGES, OpenClipart
from training.errors import DataError
from training.pairs import Pairs


def load(path: Path) -> Pairs:
    return OpenClipart(OpenClipart.Options(path)).load(Config())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the packages are unpacked."""
    made = tmp_path_factory.mktemp("openclipart")
    openclipart(made / "usr" / "share" / "openclipart")
    return made


def test_titles_are_texts_and_folders_are_labels(folder: Path) -> None:
    pairs = load(folder)
    assert pairs.labels == TOPICS and list(pairs.sources) == ["image", "text"]
    for row, target, text in zip(pairs.rows, pairs.targets, pairs.sources["text"], strict=True):
        assert row.split("/")[0] == pairs.labels[target]
        assert str(text).startswith(("Ein ", "BlueMan"))
    assert all(Path(str(path)).is_file() for path in pairs.sources["image"])


def test_untitled_drawings_and_copies_are_left_out_and_other_folders_are_not_looked_at(folder: Path) -> None:
    survey = OpenClipart.survey([folder])
    assert survey.remarks[0] == "2 drawings have no title, 2 are copies of others, and are left out"
    names = set(survey.frame.index)
    assert not {"animals/birds/untitled", "animals/birds/broken", "animals/copy", "food/copy"} & names
    assert not any(name.startswith("computer") for name in names) and len(names) == 50
    assert survey.counts[0].line() == "54 drawings: published are 3,769"


def test_every_class_is_in_every_split_and_a_series_in_one(folder: Path) -> None:
    pairs = load(folder)
    for split in ("train", "val", "test"):
        assert set(pairs.targets[pairs.indices(split)].tolist()) == {0, 1, 2}
    groups = {name: group for name, group in zip(pairs.rows, pairs.groups.tolist(), strict=True)}
    assert groups["animals/sub.animals/a._00"] == groups["animals/sub.animals/a._01"]
    assert groups["animals/sub.animals/a._00"] != groups["animals/sub.animals/b._02"]
    assert groups["tools/one_blue"] == groups["animals/two_green"], "an artist's title but for numbers, across classes"


def test_a_long_series_is_in_train(tmp_path: Path) -> None:
    frame = OpenClipart.survey([openclipart(tmp_path, more=LONG + 1)]).frame
    long = frame["text"].str.startswith("card")
    assert set(frame["split"][long]) == {"train"} and long.sum() == 6 * (LONG + 1)
    short = OpenClipart.survey([openclipart(tmp_path / "short", more=3)]).frame
    assert set(short["split"][short["text"].str.startswith("card")]) > {"train"}, "short ones are not"


def drawing(place: str, title: str, artist: str = "A") -> Drawing:
    return Drawing(Path("x"), place, title, artist, place)


def test_series_are_joined_by_names_and_by_titles_and_through_each_other() -> None:
    found = [
        drawing("a/duck_01", "Duck"),
        drawing("a/duck_02b", "Something"),
        drawing("b/other", "something!", "a"),
        drawing("b/duck_01", "Duck", "another artist"),
        drawing("a/goose_201_01", ""),
        drawing("a/goose_305_02", ""),
        drawing("b/123", ""),
        drawing("c/456", ""),
    ]
    series = series_of(found)
    assert series == [*["a/duck_01"] * 3, "b/duck_01", *["a/goose_201_01"] * 2, "b/123", "c/456"]


def test_a_drawing_whose_svg_is_absent_is_named(tmp_path: Path) -> None:
    made = openclipart(tmp_path)
    (made / "svg" / "tools" / "one_blue.svg").unlink()
    [line] = OpenClipart.survey([made]).missing
    assert line.startswith("tools/one_blue: no file")
    with pytest.raises(DataError, match="1 samples of"):
        load(made)


def test_what_is_absent_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folders png and svg in .*apt-get download openclipart-png openclipart-svg"):
        load(tmp_path)
    for kind in ("png", "svg"):
        (tmp_path / kind / "animals").mkdir(parents=True)
    with pytest.raises(DataError, match=r"expected drawings of animals.*found none"):
        load(tmp_path)


def stub(folder: Path, script: str) -> str:
    program = folder / "apt-get"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_the_packages_are_downloaded_with_apt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stub(tmp_path, 'shift; for name in "$@"; do echo "$name" > "${name}_0.18_all.deb"; done')
    monkeypatch.setattr("shutil.which", lambda name: program)
    found = OpenClipart.fetch(tmp_path / "files")
    assert [path.name for path in found] == [f"{name}_0.18_all.deb" for name in PACKAGES]
    monkeypatch.setattr(subprocess, "run", None)
    assert OpenClipart.fetch(tmp_path / "files") == found


def test_apt_that_fails_or_is_absent_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stub(tmp_path, 'echo "E: Unable to locate package" >&2; exit 100')
    monkeypatch.setattr("shutil.which", lambda name: program)
    with pytest.raises(DataError, match=r"failed: E: Unable to locate package \(`apt-get update` may help\)"):
        OpenClipart.fetch(tmp_path / "files")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DataError, match=r"expected apt-get .* found none; to obtain it: .*packages\.debian\.org"):
        OpenClipart.fetch(tmp_path / "files")
