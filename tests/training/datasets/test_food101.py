"""UPMC Food-101 as distributed: header-less titles, .txt that means .jpg, entities, commas, broken pictures."""

from collections import Counter
from pathlib import Path

import pytest

from tests.training.datasets.layouts import FOODS, food101
from training.config import Config
from training.datasets.food101 import Food101, read_titles, unescaped
from training.errors import DataError
from training.pairs import Pairs


def load(path: Path) -> Pairs:
    return Food101(Food101.Options(path)).load(Config())


@pytest.mark.parametrize("header", [False, True])
def test_both_kinds_of_titles_give_the_same_pairs(tmp_path: Path, header: bool) -> None:
    pairs = load(food101(tmp_path / "food", header))
    assert pairs.labels == FOODS and list(pairs.sources) == ["image", "text"]
    assert Counter(pairs.splits.tolist()) == {"train": 39, "val": 3, "test": 12}
    assert set(pairs.targets[pairs.indices("val")].tolist()) == {0, 1, 2}
    assert all(path.suffix == ".jpg" and path.is_file() for path in pairs.sources["image"] if isinstance(path, Path))
    texts = pairs.sources["text"][:4]
    assert texts == [
        "Grandma’s apple_pie, the best",
        "» apple_pie – recipes",
        'the "real" apple_pie of number 2',
        "NA apple_pie",
    ]


def test_what_was_odd_is_counted(tmp_path: Path) -> None:
    [remark] = Food101.survey([food101(tmp_path / "food")]).remarks
    assert remark == "30 titles had HTML entities, 12 pictures are listed as .txt"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("a &amp;amp; b", "a & b"),
        ("caf&eacute;\n au  lait", "café au lait"),
        ("5 < 6 & 7", "5 < 6 & 7"),
        ("&nbsp;", ""),
    ],
)
def test_entities_are_undone_however_often_they_were_made(title: str, expected: str) -> None:
    assert unescaped(title) == expected


def test_absent_pictures_and_empty_titles_are_named(tmp_path: Path) -> None:
    made = food101(tmp_path / "food")
    (made / "images" / "train" / "baklava" / "baklava_3.jpg").unlink()
    titles = made / "texts" / "test_titles.csv"
    titles.write_text(titles.read_text().replace("NA apple_pie", "&nbsp;"))
    missing = Food101.survey([made]).missing
    assert [line.split(":")[0] for line in missing] == ["baklava_3.jpg (baklava)", "apple_pie_3.jpg (apple_pie)"]
    assert missing[1].endswith("the title is empty in test_titles.csv")
    with pytest.raises(DataError, match=r"2 samples of .* are missing"):
        load(made)


def test_pictures_without_a_title_are_remarked(tmp_path: Path) -> None:
    made = food101(tmp_path / "food")
    (made / "images" / "test" / "baklava" / "more.jpg").write_bytes(b"jpeg")
    assert "1 pictures have no title and are not used" in Food101.survey([made]).remarks


def test_titles_in_another_encoding_are_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "titles.csv").write_bytes("a.jpg,cr\xe8me,cake\r\n".encode("latin-1"))
    assert [title.label for title in read_titles(tmp_path / "titles.csv")] == ["cake"]


@pytest.mark.parametrize("row", ["a.jpg,a title, with a comma,cake", "a.jpg,cake"])
def test_a_row_of_another_width_is_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "titles.csv").write_text(f"b.jpg,title,cake\n{row}\n")
    with pytest.raises(DataError, match=r"expected picture, title and class in each row"):
        read_titles(tmp_path / "titles.csv")


def test_what_is_absent_says_where_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images and texts in .*kaggle\.com"):
        load(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "texts").mkdir()
    with pytest.raises(DataError, match=r"expected train_titles\.csv or train\.csv in"):
        load(tmp_path)
    for split in ("train", "test"):
        (tmp_path / "texts" / f"{split}_titles.csv").write_text("a.jpg,a title,cake\n")
    with pytest.raises(DataError, match=r"no picture that the titles name .*kaggle\.com"):
        load(tmp_path)
