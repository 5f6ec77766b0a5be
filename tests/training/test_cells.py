"""Tables that are read part by part are the same as read whole, and their cells take no memory."""

from errno import ENOSPC
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from training.cells import spooled
from training.columns import beside
from training.errors import DataError
from training.frame import read_frame
from training.genes import genes, joined
from training.problems import RowProblems

CSV = "\n".join(["name, text ,,more,", "a,x,,,", "", ",,,,", 'b,"y\n""z""",,1,', "c", "d,NA,,,", " ,é,seen,,", ""])


@pytest.fixture(params=[1, 2, 3, 100])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So many rows or columns of a table are looked at at once."""
    monkeypatch.setattr("training.cells.LEAST", request.param)
    monkeypatch.setattr("training.cells.CELLS", request.param)
    return int(request.param)


@pytest.mark.usefixtures("at_once")
def test_a_csv_file_is_the_same_however_many_rows_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(CSV, "utf-8")
    frame = read_frame(path)
    assert list(frame.columns) == ["name", "text", "", "more"], "a column without a name or content is none"
    assert frame.index.tolist() == [2, 5, 6, 7, 8], "blank rows are counted"
    assert frame["name"].tolist() == ["a", "b", "c", "d", " "]
    assert frame["text"].tolist() == ["x", 'y\n"z"', "", "NA", "é"]
    assert frame[""].tolist() == ["", "", "", "", "seen"]


@pytest.mark.parametrize("before", ["\n", "\r\n\r\n", "\ufeff\n\n\n"])
def test_blank_lines_before_the_header_are_counted(before: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(f"{before}a,b\n1,2\n\n3,4\n".encode())
    frame, first = read_frame(path), before.count("\n") + 2
    assert frame.to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}
    assert frame.index.tolist() == [first, first + 2]
    path.write_bytes(before.encode())
    with pytest.raises(DataError, match="expected a header and rows, found an empty file"):
        read_frame(path)


@pytest.mark.usefixtures("at_once")
def test_a_row_that_is_too_long_is_named_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 6 + "1,2,3\n" + "1,2\n" * 6, "utf-8")
    with pytest.raises(DataError, match="Expected 2 fields in line 8, saw 3"):
        read_frame(path)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("named", [False, True])
def test_a_parquet_file_is_the_same_however_many_columns_are_read_at_once(named: bool, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    whole = pd.DataFrame({
        "whole": pd.array([1, None, 3], "Int64"), "HLA.A": [0.5, np.nan, 2.0], "text": ["é", None, "NA"],
        "kind": pd.Categorical(["u", "v", "u"]), "day": pd.to_datetime(["2020-01-01"] * 3), "yes": [True, False, None],
    })  # fmt: skip
    whole.index = pd.Index([7, 8, 9], name="case" if named else None)
    whole.to_parquet(path)
    frame = read_frame(path)
    expected = {
        "whole": ["1", "", "3"], "HLA.A": ["0.5", "", "2.0"], "text": ["é", "", "NA"], "kind": ["u", "v", "u"],
        "day": ["2020-01-01 00:00:00"] * 3, "yes": ["True", "False", ""],
    }  # fmt: skip
    assert frame.to_dict("list") == ({"case": ["7", "8", "9"]} if named else {}) | expected
    assert frame.index.tolist() == [1, 2, 3]


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pyarrow.table([["1"], ["2"], ["3"]], names=["a", "b", "a"]), path)
    with pytest.raises(DataError, match=r"expected each column once, found twice: a$"):
        read_frame(path)


@pytest.mark.usefixtures("at_once")
def test_genes_are_the_same_however_many_columns_are_looked_at_at_once(tmp_path: Path) -> None:
    first = pd.DataFrame({"case": ["c", "a", "", "x", "d", "e"]})
    second = tmp_path / "genes.csv"
    rows = ["case,gene_1,gene_2,gene_3", "a,1,,3", "b,no,no,no", "c,0.5,-1e3,nan", ",1,1,1", "d,,NA,", "e,1,inf,no"]
    second.write_text("\n".join(rows), "utf-8")
    problems = RowProblems([f"row {number}" for number in range(6)])
    table, places = joined(first, second, "case", problems)
    found = genes(table, "gene_", problems, places)
    assert found is not None
    assert found[0] == {"gene_1": 0.5, "gene_2": -1000.0, "gene_3": None}
    assert found[1] == {"gene_1": 1.0, "gene_2": None, "gene_3": 3.0}
    with pytest.raises(DataError) as refused:
        problems.check("the table")
    assert str(refused.value).splitlines()[1:] == [
        "  row 2, case: expected a key, found an empty cell",
        "  row 3, case: expected a key that genes.csv has, found 'x'",
        "  row 4, genomics: expected a value in at least one of 3 columns, found none",
        "  row 5, gene_2: expected a finite number or an empty cell, found 'inf'",
        "  row 5, gene_3: expected a finite number or an empty cell, found 'no'",
    ]


def test_cells_lie_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + f"{'x' * 100},{'y' * 100}\n" * 20_000, "utf-8")
    before = pyarrow.total_allocated_bytes()
    frame = read_frame(path)
    assert len(frame) == 20_000 and frame["b"].iat[-1] == "y" * 100
    assert pyarrow.total_allocated_bytes() - before < 100_000, "of four million"


def test_without_place_for_the_cells_the_message_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    path = tmp_path / "table.csv"
    path.write_text(CSV, "utf-8")
    monkeypatch.setattr("training.cells.TemporaryFile", full)
    with pytest.raises(DataError, match=r"expected place for a temporary file as large in .*, found none .*TMPDIR"):
        read_frame(path)


def test_parts_lie_below_each_other_with_their_own_numbers() -> None:
    parts = [pd.DataFrame({"a": ["1", ""], "b": ["", "2"]}, index=[3, 5])]
    parts += [pd.DataFrame({"a": ["é"], "b": ["4"]}, index=[9])]
    pd.testing.assert_frame_equal(spooled(iter(parts)), pd.concat(parts))
    assert spooled([part.iloc[:0] for part in parts]).shape == (0, 2)


@pytest.mark.parametrize("small", [True, False])
def test_blocks_of_numbers_lie_beside_each_other(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.columns.SMALL", 10_000 if small else 10)
    blocks = [np.arange(6.0).reshape(3, 2), np.full((3, 1), np.nan), np.ones((3, 3))]
    found = beside((3, 6), iter(blocks))
    np.testing.assert_array_equal(found, np.concatenate(blocks, axis=1))
    assert isinstance(found.base, np.memmap) != small
