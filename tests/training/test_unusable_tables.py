"""What is wrong with a table is said before any training, in one line and one more for each row, with exit code 2."""

from pathlib import Path

import pytest

from tests.bundle.media import colourful, picture
from tests.training.conftest import Refused
from tests.training.tables import Row, changed, without, write_csv, write_parquet


def table_of(tmp_path: Path, rows: list[Row], *columns: str) -> Path:
    return write_csv(tmp_path / "table.csv", rows, columns or None)


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet"])
def test_a_table_that_is_not_there(name: str, refused: Refused, tmp_path: Path) -> None:
    (line,) = refused(tmp_path / name)
    assert line == f"expected a CSV or Parquet table, found no file {tmp_path / name}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("table.csv", picture(colourful()), "expected a CSV or Parquet table, found none ('utf-8' codec can't decode"),
        ("table.csv", b"", "expected a header and rows, found an empty file"),
        ("table.csv", b"\n\n", "expected a header and rows, found an empty file"),
        ("table.csv", b"label,image,text\n", "expected rows, found none below the header"),
        ("table.csv", b"label,image,text\ncat,a.png,old,house\n", "Expected 3 fields in line 2, saw 4"),
        ("table.csv", b'label,image,text\ncat,a.png,"old\n', "EOF inside string"),
        ("table.csv", b"label,image,image\ncat,a.png,b.png\n", "expected each column once, found twice: image"),
        ("table.csv", b"label;image;text\ncat;a.png;old\n", "its cells seem to be separated by ';', expected commas"),
        ("table.parquet", b"PAR1 and then nothing PAR1", "expected a CSV or Parquet table, found none"),
        ("table.parquet", b"", "expected a CSV or Parquet table, found none"),
    ],
)
def test_a_file_that_is_no_table(name: str, content: bytes, message: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (line,) = refused(tmp_path / name)
    assert message in line


def test_a_folder_in_place_of_a_table(refused: Refused, tmp_path: Path) -> None:
    (line,) = refused(tmp_path)
    assert "found none (Is a directory)" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--dataset.label speces", "no column 'speces' (did you mean species?); it has species, text"),
        ("--dataset.label smell", "no column 'smell'; it has species, text"),
        ("--dataset.label species --dataset.image photo", "no column 'photo'"),
        ("--dataset.label species --dataset.split part", "no column 'part'"),
        ("--dataset.label species --dataset.group patient", "no column 'patient'"),
        ("--dataset.label species --dataset.genes rna_", "no column that begins with 'rna_'; it has species, text"),
        ("--dataset.label species --modalities text genomics", "expected columns of text and genomics"),
        ("", "no column 'label'"),
    ],
)
def test_a_column_that_is_not_there(
    options: str, message: str, refused: Refused, rows: list[Row], tmp_path: Path
) -> None:
    named = [row | {"species": row["label"]} for row in rows]
    (line,) = refused(table_of(tmp_path, named, "species", "text", "image", "split"), *options.split())
    assert message in line


@pytest.mark.parametrize("columns", [("text",), ("image",), ()])
def test_a_table_with_fewer_than_two_modalities(
    columns: tuple[str, ...], refused: Refused, rows: list[Row], tmp_path: Path
) -> None:
    (line,) = refused(table_of(tmp_path, rows, "label", "split", *columns))
    assert "expected columns of two or more of audio, video, image, text, pathology, genomics" in line
    assert f"found {columns[0] if columns else 'none'}; the table has label, split" in line


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"image": ""}, "image: expected the path of a file, found an empty cell"),
        ({"image": " "}, "image: expected the path of a file, found an empty cell"),
        ({"text": ""}, "text: expected a text, found an empty cell"),
        ({"label": ""}, "label: expected a class name, found an empty cell"),
        ({"image": "nowhere.png"}, "image: expected the path of a file, found no file 'nowhere.png' in "),
        ({"image": "."}, "image: expected the path of a file, found the folder '.'"),
        ({"image": "/dev/null"}, "image: expected the path of a file, found '/dev/null', which is no regular file"),
        ({"image": "a long caption of many words " * 20}, "found 'a long caption of many words"),
        ({"image": "a\0b.png"}, "image: expected the path of a file, found"),
        ({"split": "holdout"}, "split: expected one of train, val, test, found 'holdout'"),
        ({"split": ""}, "split: expected one of train, val, test, found ''"),
        ({"gene_1": "many"}, "gene_1: expected a finite number or an empty cell, found 'many'"),
        ({"gene_1": "inf"}, "gene_1: expected a finite number or an empty cell, found 'inf'"),
        ({"gene_1": "-Infinity"}, "gene_1: expected a finite number or an empty cell, found '-Infinity'"),
        ({"gene_1": "1e999"}, "gene_1: expected a finite number or an empty cell, found '1e999'"),
        ({"gene_1": "1e300"}, "gene_1: expected a finite number or an empty cell, found '1e300'"),
        ({"gene_1": "True"}, "gene_1: expected a finite number or an empty cell, found 'True'"),
        ({f"gene_{gene}": "NA" for gene in range(5)}, "genomics: expected a value in at least one of 5 columns"),
    ],
)
def test_a_cell_that_cannot_be_used(
    cells: dict[str, str], message: str, refused: Refused, rows: list[Row], tmp_path: Path
) -> None:
    first, line = refused(table_of(tmp_path, changed(rows, 4, **cells)))
    assert first == "1 row of table.csv cannot be used:"
    assert line.startswith("row 6, ")
    assert message in line


def test_every_bad_row_is_said_at_once_in_order(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    broken = changed(rows, 30, label="")
    broken = changed(broken, 2, image="nowhere.png", gene_0="x", gene_3="inf")
    broken = changed(broken, 17, split="holdout", text=" ")
    first, *lines = refused(table_of(tmp_path, broken))
    assert first == "3 rows of table.csv cannot be used:"
    assert [line.split(":")[0] for line in lines] == [
        "row 4, image", "row 4, gene_0", "row 4, gene_3", "row 19, text", "row 19, split", "row 32, label",
    ]  # fmt: skip


def test_a_label_that_is_not_among_the_given_ones(refused: Refused, table: Path) -> None:
    first, *lines = refused(table, "--dataset.labels", "cat", "dog")
    assert first == "12 rows of table.csv cannot be used:"
    assert lines[0] == "row 4, label: expected one of cat, dog, found 'owl'"
    assert len(lines) == 12


def test_an_empty_split(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    lines = refused(table_of(tmp_path, [row | {"split": "train"} for row in rows]))
    assert lines == ["the test split is empty; expected samples in train, val, test, found train, val"]


def test_no_training_rows(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    path = table_of(tmp_path, [row | {"split": "test" if row["split"] == "test" else "val"} for row in rows])
    assert refused(path) == ["the train split is empty; expected samples in train, val, test, found test, val"]


def test_a_class_with_a_single_sample(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    rare = changed(without(rows, "split"), 4, label="yak")
    first, line = refused(table_of(tmp_path, rare))
    assert first == "a split into 3 parts needs 3 groups and 4 samples of every class, too few are there for"
    assert line == "yak: 1 samples in 1 groups"


def test_a_class_in_the_test_split_only(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    rare = [row | {"label": "yak" if row["split"] == "test" else row["label"]} for row in rows]
    first, line = refused(table_of(tmp_path, rare))
    assert first == "every class needs at least two training samples, too few are there for"
    assert line == "yak: 0"


def test_one_class_only(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    (line,) = refused(table_of(tmp_path, [row | {"label": "cat"} for row in rows]))
    assert line == "expected at least two classes, found 1"


def test_a_group_that_lies_in_two_splits(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    torn = [row | {"group": "p1" if number in (0, 7, 10) else str(number)} for number, row in enumerate(rows)]
    first, line = refused(table_of(tmp_path, torn))
    assert first == "a group must lie in one split, 1 lie in more:"
    assert line == "row 2 in train, row 9 in val, row 12 in test"


def test_a_gene_column_without_a_training_value(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    empty = [row | {"gene_2": "" if row["split"] == "train" else "1"} for row in rows]
    first, line = refused(table_of(tmp_path, empty))
    assert first == "these genomics columns have no value in the training split:"
    assert line == "gene_2"


@pytest.mark.parametrize(
    ("second", "message", "lines"),
    [
        ("patient,a\n0,1\n1,2\n1,3\n", "expected each key of 'patient' once", ["row 3: '1'", "row 4: '1'"]),
        ("person,a\n0,1\n", "has no key column 'patient'; it has person, a", []),
        (
            "patient,a\n1,2\n",
            "36 rows of table.csv cannot be used:",
            ["row 2, patient: expected a key that genes.csv has, found '0'"],
        ),
    ],
    ids=["twice", "no key column", "absent"],
)
def test_a_second_table_that_does_not_join(
    second: str, message: str, lines: list[str], refused: Refused, rows: list[Row], tmp_path: Path
) -> None:
    (tmp_path / "genes.csv").write_text(second, "utf-8")
    keyed = [row | {"patient": "0" if number else ""} for number, row in enumerate(rows)]
    keyed[0]["patient"] = "0"
    path = table_of(tmp_path, keyed, "label", "split", "text", "patient")
    first, *found = refused(path, "--dataset.gene-table", tmp_path / "genes.csv", "--dataset.key", "patient")
    assert message in first
    assert found[: len(lines)] == lines


def test_a_row_without_a_key(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "genes.csv").write_text("patient,a\n0,1\n,2\n", "utf-8")
    keyed = [row | {"patient": "0" if number else " "} for number, row in enumerate(rows)]
    path = table_of(tmp_path, keyed, "label", "split", "text", "patient")
    _, line = refused(path, "--dataset.gene-table", tmp_path / "genes.csv", "--dataset.key", "patient")
    assert line == "row 2, patient: expected a key, found an empty cell"


def test_parquet_rows_are_counted_from_one(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    _, line = refused(write_parquet(tmp_path / "table.parquet", changed(rows, 4, image="nowhere.png")))
    assert line.startswith("row 5, image: ")
