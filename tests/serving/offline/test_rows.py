"""What a row gets: the predictor's own answer, or an error of its own that no other row sees."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from bundle.predictor import Predictor
from bundle.tables.answers import INVALID_CALL
from tests.serving.offline import pairs
from tests.serving.offline.conftest import Run

MISSING = "since none may be missing (require_all)"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(folder: Path, *rows: tuple[str, str]) -> Path:
    path = folder / "some.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "text"), *rows])
    return path


def test_the_columns_are_those_of_predict_many(folder: Path, tmp_path: Path, run: Run) -> None:
    code, shown, _ = run(pairs.write(folder / "columns.csv", 20, broken=10), tmp_path / "answers.csv")
    assert (code, shown) == (3, f"{tmp_path / 'answers.csv'}: 18 answers, 2 errors\n")
    assert list(read(tmp_path / "answers.csv")[0]) == [
        *("id", "image", "text", "label", "row", "model", "answer_label", "probability"),
        *("abstain", "missing", "unusual", "disagreement", "baseline"),
        *("image_label", "image_confidence", "image_contribution"),
        *("text_label", "text_confidence", "text_contribution"),
        *("error_kind", "error_status", "error_detail", "request_id"),
    ]


def test_a_broken_line_is_the_error_of_its_row(folder: Path, tmp_path: Path, run: Run) -> None:
    source = folder / "lines.csv"
    source.write_bytes(b"image,text\n,red\n,red,too,many\n,r\xffd\n,red\n")
    assert run(source, tmp_path / "answers.csv")[0] == 3
    found = read(tmp_path / "answers.csv")
    assert [row["error_detail"] for row in found] == [
        "",
        "expected 2 cells like the header, found 4",
        "expected text in UTF-8, found the byte 0xff",
        "",
    ]
    assert {row["error_kind"] for row in found} == {"", INVALID_CALL} and found[0]["label"] == found[3]["label"] != ""


@pytest.mark.parametrize(("batch", "threads"), [("1", "1"), ("5", "3")])
def test_every_answer_is_the_predictors_own(folder: Path, tmp_path: Path, run: Run, batch: str, threads: str) -> None:
    source = pairs.write(folder / "own.csv", 60)
    run(source, tmp_path / "answers.csv", "--batch", batch, "--threads", threads, "--part", "16")
    predictor = Predictor(folder / "bundle")
    found = read(tmp_path / "answers.csv")
    assert [row["row"] for row in found] == [str(number) for number in range(1, 61)]
    assert [row["id"] for row in found] == [f"n{number}" for number in range(60)]
    for number, row in enumerate(found):
        if number % 10 == 9:
            assert row["error_kind"] and not row["answer_label"] and not row["model"]
            continue
        sample: dict[str, Any] = {"text": row["text"]} if row["text"] else {}
        if row["image"]:
            sample["image"] = (folder / row["image"]).read_bytes()
        [expected] = predictor.predict([sample])
        best = expected.predictions[0]
        assert (row["answer_label"], row["model"], row["error_kind"]) == (best.label, "image-text", "")
        assert float(row["probability"]) == pytest.approx(best.probability, abs=1e-6)
        assert float(row["baseline"]) == pytest.approx(expected.baseline, abs=1e-6)
        assert row["missing"] == "+".join(expected.missing) and row["abstain"] == "false"
        for name, said in expected.modalities.items():
            assert row[f"{name}_label"] == said.label
            assert float(row[f"{name}_confidence"]) == pytest.approx(said.confidence, abs=1e-6)
            assert float(row[f"{name}_contribution"]) == pytest.approx(said.contribution, abs=1e-6)
        for name in expected.missing:
            assert row[f"{name}_label"] == row[f"{name}_confidence"] == ""


def test_a_broken_row_says_why(folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "media/large.png").write_bytes(bytes(3000))
    if not (folder / "media/pipe").exists():
        os.mkfifo(folder / "media/pipe")
    monkeypatch.setenv("INFOBRIDGE_BODY_LIMIT", "2000")
    monkeypatch.setenv("INFOBRIDGE_CHARACTERS", "20")
    names = ("bad.png", "none.png", "large.png", "pipe", "")
    source = table(folder, *((f"media/{name}", "red") for name in names), (" ", ""), ("", "x" * 21), ("\0", "red"))
    assert run(source, tmp_path / "answers.csv")[0] == 3
    found = [(row["error_kind"], row["error_detail"]) for row in read(tmp_path / "answers.csv")]
    none = "image: expected a file to read, "
    assert found[0][0] == "unsupported-media" and found[0][1].startswith("image: expected a picture file")
    assert found[1:7] == [
        (INVALID_CALL, none + "'media/none.png' is none (No such file or directory)"),
        ("too-large", "image: expected a file of at most 2,000 bytes, received a larger one"),
        (INVALID_CALL, none + "'media/pipe' is none (no regular file)"),
        (INVALID_CALL, none + "'media' is none (no regular file)"),
        (INVALID_CALL, "expected a payload for one or more of image, text"),
        ("too-large", "text: expected at most 20 characters, received 21 characters"),
    ]
    assert found[7][0] == INVALID_CALL and found[7][1].startswith(none)
    assert {(row["error_status"], row["request_id"]) for row in read(tmp_path / "answers.csv")} == {("", "")}


def test_a_row_that_lacks_a_modality_is_an_error_where_all_are_required(folder: Path, tmp_path: Path, run: Run) -> None:
    source = table(folder, ("media/0.png", "red"), ("", "red"), ("media/0.png", ""))
    assert run(source, tmp_path / "lax.csv")[0] == 0
    assert [row["missing"] for row in read(tmp_path / "lax.csv")] == ["", "image", "text"]
    assert run(source, tmp_path / "strict.csv", "--require-all")[0] == 3
    found = read(tmp_path / "strict.csv")
    assert [row["error_kind"] for row in found] == ["", "invalid-input", "invalid-input"]
    assert found[1]["error_detail"] == f"image: expected all of image, text, {MISSING}, received only text"


def test_an_answer_abstains_below_what_is_asked(folder: Path, tmp_path: Path, run: Run) -> None:
    source = pairs.write(folder / "abstain.csv", 20, broken=0)
    for below, expected in (("0", {"false"}), ("1", {"true"})):
        run(source, tmp_path / f"{below}.csv", "--abstain-below", below)
        assert {row["abstain"] for row in read(tmp_path / f"{below}.csv")} == expected


def test_parquet_in_and_out_is_what_csv_is(folder: Path, tmp_path: Path, run: Run) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run(pairs.write(folder / "in.csv", 40), tmp_path / "answers.csv", "--part", "7")
    assert run(pairs.write(folder / "in.parquet", 40), tmp_path / "answers.parquet", "--part", "7")[0] == 3
    found = parquet.read_table(tmp_path / "answers.parquet")
    types = {name: str(found.schema.field(name).type) for name in ("id", "row", "probability", "abstain")}
    assert types == {"id": "string", "row": "int64", "probability": "double", "abstain": "bool"}
    assert parquet.ParquetFile(tmp_path / "answers.parquet").num_row_groups == 1
    plain = {True: "true", False: "false", None: ""}
    rows = [
        {key: plain[cell] if cell is None or isinstance(cell, bool) else str(cell) for key, cell in row.items()}
        for row in found.to_pylist()
    ]
    assert rows == read(tmp_path / "answers.csv")
