"""Tables as streams: CSV as people and programs write it, Parquet with its types, and one error for what is neither."""

from pathlib import Path

import pytest

from bundle.errors import TableError
from bundle.tables.table import Row, Table


def table(folder: Path, content: bytes | str) -> Table:
    path = folder / "pairs.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Table.open(path)


@pytest.mark.parametrize(
    "content",
    [
        "image,text\na.png,one\nb.png,two\n",
        b"\xef\xbb\xbfimage,text\r\na.png,one\r\nb.png,two",
        "\n,\nimage, text \n\na.png,one\n,\nb.png,two\n\n",
        ",image,text\n0,a.png,one\n1,b.png,two\n",
        'image,text,\n"a.png",one\nb.png,two,,\n',
    ],
)
def test_rows_are_those_that_hold_something(tmp_path: Path, content: bytes | str) -> None:
    found = table(tmp_path, content)
    assert found.columns == ("image", "text") and found.rows == 2
    expected = [Row(0, {"image": "a.png", "text": "one"}), Row(1, {"image": "b.png", "text": "two"})]
    assert list(found) == expected and list(found) == expected


def test_cells_keep_line_breaks_and_may_be_long_or_left_out(tmp_path: Path) -> None:
    found = table(tmp_path, 'text,label\n"a\nb, ""c""",\n' + "x" * 200_000 + "\n")
    assert [row.cells for row in found] == [{"text": 'a\nb, "c"', "label": ""}, {"text": "x" * 200_000, "label": ""}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty file"),
        ("\n,\n", "an empty file"),
        ("a,b\n", "expected rows, found none below the header"),
        ("a,b,a\n1,2,3\n", "expected each column once, found twice: a"),
        ('a,b\n1,"2\n3,4\n', "unexpected end of data"),
        ("a,b\n\n1,2,3\n", "found broken lines alone, the first of which: expected 2 cells like the header, found 3"),
        (b"a,\xff\n1,2\n", "the header: expected text in UTF-8, found the byte 0xff"),
    ],
)
def test_what_is_no_table_is_refused_at_once(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(TableError) as caught:
        table(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'pairs.csv'}: expected") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_line_is_a_row_with_a_problem_and_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.tables.table.MARK", 2)
    found = table(tmp_path, b"a,b\n1,\xc3\xa4\n\xff,2\n1,2,3\n1,2,\n5\n")
    rows = list(found)
    assert [row.problem for row in rows] == [
        None,
        "expected text in UTF-8, found the byte 0xff",
        "expected 2 cells like the header, found 3",
        None,
        None,
    ]
    assert [row.cells["a"] for row in rows] == ["1", "\ufffd", "1", "1", "5"] and rows[0].sound() == rows[0].cells
    with pytest.raises(TableError, match="2 cells like the header, found 3"):
        rows[2].sound()
    for start in range(5):
        assert list(found.part(start, 5)) == rows[start:]


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "folder.csv"])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match="expected a CSV or Parquet table, found none"):
        Table.open(tmp_path / name)


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", None] * 50, "gene_A": [1, None] * 50}), path)
    found = Table.open(path)
    assert found.columns == ("text", "gene_A") and found.rows == 100
    assert list(found)[98:] == [Row(98, {"text": "one", "gene_A": 1}), Row(99, {"text": None, "gene_A": None})]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match="expected a CSV or Parquet table, found none"):
        Table.open(path)


def test_a_table_that_changed_is_noticed(tmp_path: Path) -> None:
    found = table(tmp_path, "text\none\n")
    found.check()
    (tmp_path / "pairs.csv").write_text("text\ntwo\n")
    with pytest.raises(TableError, match="it changed meanwhile"):
        found.check()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_any_part_of_a_csv_file_is_what_the_whole_has_there(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.tables.table.MARK", 4)
    lines = ["\ufefftext,label"]
    for row in range(23):
        lines += [f'"häuser{ending}{row}, ""x""",{row}', *["", ","] * (row % 3)]
    found = table(tmp_path, ending.join(lines))
    rows = list(found)
    assert found.rows == len(rows) == 23 and len(found.marks) == 6
    for start in range(24):
        for stop in (start, start + 1, start + 7, 23):
            assert list(found.part(start, stop)) == rows[start : max(start, stop)]


def test_any_part_of_a_parquet_file_is_what_the_whole_has_there(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    parquet.write_table(pyarrow.table({"text": [f"row {row}" for row in range(200)]}), path, row_group_size=70)
    found = Table.open(path)
    rows = list(found)
    assert found.rows == len(rows) == 200
    for start in (0, 1, 63, 64, 69, 70, 71, 139, 140, 199, 200):
        for stop in (start, start + 1, start + 75, 200):
            assert list(found.part(start, stop)) == rows[start : max(start, stop)]
