"""`predict-many` from its arguments to its output, without a network: nothing is lost, doubled, or asked in vain."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import __main__ as program
from clients.many import asking, command
from clients.rest_async import AsyncClient
from clients.retrying import Retries
from tests.clients.many.service import Tables
from tests.clients.service import problem

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the program on `pairs.csv` against a service: exit code, standard output, standard error."""
    monkeypatch.delenv("INFOBRIDGE_KEY", raising=False)
    monkeypatch.chdir(tmp_path)

    def started(service: Tables, *arguments: str, table: str = "pairs.csv") -> tuple[int, str, str]:
        def client(url: str, timeout: float, retries: int, **options: Any) -> AsyncClient:
            patience = Retries(retries, first_pause=0.0)
            return AsyncClient(url, timeout, patience, transport=httpx.MockTransport(service), **options)

        monkeypatch.setattr(command, "AsyncClient", client)
        given = ["predict-many", "http://x", "--table", table, "--out", "answers.csv", *arguments]
        code = program.main(given)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return started


def pairs(folder: Path, texts: list[str], **columns: str) -> None:
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *columns])
        writer.writerows([[text, *columns.values()] for text in texts])


def answers(folder: Path) -> list[dict[str, str]]:
    with (folder / "answers.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


TEXTS = [f"text {index}" for index in range(100)]


@pytest.mark.parametrize("batch", ["1", "7", "64"])
def test_every_row_has_its_answer_in_the_order_of_the_table(run: Run, tmp_path: Path, batch: str) -> None:
    pairs(tmp_path, TEXTS, label="true", id="häuser\n1")
    service = Tables()
    code, shown, _ = run(service, "--batch", batch, "--concurrency", "4")
    assert (code, shown) == (0, "answers.csv: 100 answers\n")
    rows = answers(tmp_path)
    assert list(rows[0]) == [
        *("text", "label", "id", "row", "model", "answer_label", "probability"),
        *("abstain", "missing", "unusual", "disagreement", "baseline"),
        *("text_label", "text_confidence", "text_contribution"),
        *("error_kind", "error_status", "error_detail", "request_id"),
    ]
    assert [row["answer_label"] for row in rows] == [row["text"] for row in rows] == TEXTS
    assert [row["row"] for row in rows] == [str(number) for number in range(1, 101)]
    assert {row["label"] for row in rows} == {"true"} and rows[5]["id"] == "häuser\n1"
    assert (rows[5]["probability"], rows[5]["text_label"], rows[5]["text_confidence"]) == ("0.75", "[red]circle", "0.4")
    assert (rows[5]["baseline"], rows[5]["text_contribution"]) == ("0.375", "-0.125")
    facts = ("abstain", "missing", "unusual", "disagreement")
    assert [rows[5][name] for name in facts] == ["false", "", "image", "true"]
    assert rows[5]["error_kind"] == "" and rows[5]["request_id"]
    assert set(service.asked.values()) == {1} and sorted(path.name for path in tmp_path.iterdir()) == [
        "answers.csv",
        "pairs.csv",
    ]


@pytest.mark.parametrize("batch", ["1", "4"])
def test_rows_that_fail_are_in_the_output_and_asked_again_on_demand(run: Run, tmp_path: Path, batch: str) -> None:
    pairs(tmp_path, ["one", "bad", " ", "two"], image="")
    code, shown, _ = run(Tables(), "--batch", batch)
    assert code == 3 and shown == "answers.csv: 2 answers, 2 errors; --retry-errors asks those again\n"
    rows = answers(tmp_path)
    assert [row["label"] for row in rows] == ["one", "", "", "two"]
    assert (rows[1]["error_kind"], rows[1]["error_status"]) == ("invalid-input", "422") and rows[1]["request_id"]
    assert rows[2]["error_kind"] == "invalid-call" and rows[2]["error_detail"].startswith("expected a payload")
    service = Tables()
    assert run(service)[0] == 3 and not service.asked
    fixed = Tables(lambda text, before: httpx.Response(500) if text == "bad" and not before else None)
    assert run(fixed, "--retry-errors")[0] == 3 and dict(fixed.asked) == {"bad": 1}
    assert answers(tmp_path)[1]["error_kind"] == "http-error"


@pytest.mark.parametrize("batch", ["1", "2"])
def test_every_row_is_asked_with_the_options_of_the_command(run: Run, tmp_path: Path, batch: str) -> None:
    pairs(tmp_path, ["one", "two", "three"])
    service = Tables()
    assert run(service, "--require-all", "--abstain-below", "0.5", "--model", "m", "--batch", batch)[0] == 0
    assert {tuple(said.items()) for said in service.said} == {
        (("model", "m"), ("require_all", "true"), ("abstain_below", "0.5"))
    }
    service = Tables()
    assert run(service, "--batch", batch, "--overwrite")[0] == 0 and not any(service.said)


def test_a_row_whose_error_went_away_completes_the_run(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, ["one", "two"])
    failing = Tables(lambda text, before: httpx.Response(500) if text == "two" else None)
    assert run(failing)[0] == 3
    service = Tables()
    assert run(service, "--retry-errors")[0] == 0 and dict(service.asked) == {"two": 1}
    assert [row["label"] for row in answers(tmp_path)] == ["one", "two"]
    assert not (tmp_path / "answers.csv.partial").exists()


def test_a_server_that_is_gone_ends_the_run_and_what_came_back_is_kept(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, TEXTS)
    gone = Tables(lambda text, before: httpx.ConnectError("refused") if text == "text 40" else None, lives=False)
    code, shown, errors = run(gone, "--retries", "1", "--concurrency", "1")
    assert (code, shown) == (2, "")
    last = errors.splitlines()[-1]
    assert last.startswith("error: http://x does not answer: refused; answers.csv.partial keeps 40 of 100 rows")
    assert gone.asked["text 40"] == 2 and not (tmp_path / "answers.csv").exists()
    service = Tables()
    assert run(service)[0] == 0
    assert len(service.asked) == 60 and [row["label"] for row in answers(tmp_path)] == TEXTS


@pytest.mark.parametrize(
    "instead",
    [
        httpx.ReadError("cut"),
        httpx.RemoteProtocolError("cut"),
        problem(503, {"Retry-After": "0"}),
        problem(429, {"Retry-After": "0"}),
        httpx.Response(502),
    ],
)
@pytest.mark.parametrize("batch", ["1", "8"])
def test_a_busy_or_broken_server_fails_no_row(run: Run, tmp_path: Path, instead: Any, batch: str) -> None:
    pairs(tmp_path, TEXTS)
    service = Tables(lambda text, before: instead if before < 2 and text.endswith(("0", "7")) else None)
    assert run(service, "--retries", "8", "--batch", batch)[0] == 0
    assert [row["label"] for row in answers(tmp_path)] == TEXTS


@pytest.mark.parametrize("times", [1, 3])
def test_a_server_that_takes_a_part_of_a_batch_gets_the_rest_again(
    run: Run, tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAUSE", 0.0)
    pairs(tmp_path, TEXTS)
    service = Tables()
    service.busy = lambda text: service.asked[text] <= times and text.endswith(("3", "4", "5"))
    assert run(service, "--batch", "10")[0] == 0
    assert [row["label"] for row in answers(tmp_path)] == TEXTS
    assert service.asked["text 4"] == times + 1 and service.asked["text 6"] == 1


def test_what_is_late_only_beside_others_is_asked_alone(run: Run, tmp_path: Path) -> None:
    texts = [*TEXTS[:6], "late", "slow", *["late"] * 4]
    pairs(tmp_path, texts)
    assert run(Tables(), "--batch", "4")[0] == 3
    rows = answers(tmp_path)
    assert [row["label"] for row in rows] == [text if text != "slow" else "" for text in texts]
    assert (rows[7]["error_kind"], rows[7]["error_status"]) == ("too-slow", "504")


def test_a_server_that_stays_busy_for_all_ends_the_run(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, TEXTS)
    code, _, errors = run(Tables(lambda text, before: problem(503, {"Retry-After": "0"})), "--retries", "1")
    assert code == 2 and "(HTTP 503); answers.csv.partial keeps 0 of 100 rows" in errors


@pytest.mark.parametrize("failure", [httpx.ReadError("cut"), httpx.ReadTimeout("slow")])
@pytest.mark.parametrize("batch", ["1", "8"])
def test_a_row_that_breaks_a_server_that_lives_fails_alone(
    run: Run, tmp_path: Path, failure: Exception, batch: str
) -> None:
    pairs(tmp_path, TEXTS[:20])
    service = Tables(lambda text, before: failure if text == "text 7" else None)
    assert run(service, "--retries", "1", "--batch", batch)[0] == 3
    rows = answers(tmp_path)
    kind = "timed-out" if isinstance(failure, httpx.TimeoutException) else "connection-failed"
    assert [row["error_kind"] for row in rows] == [kind if index == 7 else "" for index in range(20)]
    assert [row["label"] for row in rows if not row["error_kind"]] == TEXTS[:7] + TEXTS[8:20]


@pytest.mark.parametrize("instead", [problem(401), problem(403), problem(404), httpx.Response(200, content=b"<html>")])
def test_what_every_row_would_meet_ends_the_run(run: Run, tmp_path: Path, instead: httpx.Response) -> None:
    pairs(tmp_path, TEXTS)
    service = Tables(lambda text, before: instead)
    code, _, errors = run(service, "--concurrency", "2")
    assert code == 2 and "keeps 0 of 100 rows" in errors and len(service.asked) <= 2


def test_the_key_comes_from_a_file_or_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(tmp_path, ["one"])
    (tmp_path / "key").write_text("from-file\n")
    for arguments, expected in (([], "Bearer from-environment"), (["--key-file", "key"], "Bearer from-file")):
        monkeypatch.setenv("INFOBRIDGE_KEY", "from-environment")
        service = Tables()
        assert run(service, "--overwrite", *arguments)[0] == 0 and service.keys == {expected}
    code, _, errors = run(Tables(), "--key-file", "none")
    assert code == 2 and errors.startswith("error: key-file: expected a file with a key")


def test_a_run_goes_on_only_with_what_it_began_with(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, ["one", "bad"])
    assert run(Tables())[0] == 3
    code, _, errors = run(Tables(), "--model", "m")
    assert code == 2 and "is of a run with another model" in errors
    code, _, errors = run(Tables(), "--require-all", "--abstain-below", "0.5")
    assert code == 2 and "is of a run with another abstain_below and another require_all;" in errors
    pairs(tmp_path, ["one", "two"])
    code, _, errors = run(Tables())
    assert code == 2 and "is of a run with another table" in errors
    service = Tables()
    assert run(service, "--overwrite")[0] == 0 and len(service.asked) == 2
    code, _, errors = run(Tables())
    assert (
        code == 2 and errors == "error: answers.csv is there already; --overwrite asks all rows anew and replaces it\n"
    )


def test_a_table_that_changes_during_the_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, TEXTS)

    def change(text: str, before: int) -> None:
        if text == "text 99":
            pairs(tmp_path, TEXTS[1:])

    code, _, errors = run(Tables(change))
    assert code == 2 and "it changed meanwhile" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv.partial", "pairs.csv"]


def test_paths_are_relative_to_the_table(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(b"picture")
    (tmp_path / "data" / "pairs.csv").write_text("picture,text\na.png,one\nb.png,two\n")
    code, _, _ = run(Tables(), "--columns", "image=picture", table="data/pairs.csv")
    rows = answers(tmp_path)
    assert code == 3 and [row["image_label"] for row in rows] == ["star", ""]
    assert rows[1]["error_kind"] == "invalid-call" and "b.png" in rows[1]["error_detail"]


@pytest.mark.parametrize("batch", ["1", "3"])
def test_an_interruption_leaves_what_came_back(run: Run, tmp_path: Path, batch: str) -> None:
    pairs(tmp_path, TEXTS)

    def interrupt(text: str, before: int) -> None:
        if text == "text 50":
            raise KeyboardInterrupt

    code, _, errors = run(Tables(interrupt), "--batch", batch, "--concurrency", "1")
    assert code == 130 and "stopped; answers.csv.partial keeps " in errors
    service = Tables()
    assert run(service)[0] == 0 and len(service.asked) in (50, 52)
    assert [row["label"] for row in answers(tmp_path)] == TEXTS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "0"], "batch: expected 1 or more, found 0"),
        (["--concurrency", "0"], "concurrency: expected 1 or more, found 0"),
        (["--abstain-below", "1.5"], "abstain_below: expected a number from 0 to 1, found 1.5"),
        (["--out", "answers.txt"], "out: expected a name that ends in .csv or .parquet"),
        (["--out", "pairs.csv"], "out: expected another file than the table"),
        (["--out", "none/answers.csv"], "none/answers.csv.partial: expected a file to write"),
        (["--columns", "sound=x"], "columns: expected one of audio"),
        (["--timeout", "0"], "timeout: expected seconds over 0"),
        (["--table", "none.csv"], "none.csv: expected a CSV or Parquet table"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    pairs(tmp_path, ["one"])
    service = Tables()
    code, shown, errors = run(service, *arguments)
    assert (code, shown) == (2, "") and errors.startswith(f"error: {message}") and errors.count("\n") == 1
    assert not service.asked


def test_columns_that_the_answers_need_are_refused(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, ["one"], label="x", answer_label="y")
    code, _, errors = run(Tables())
    assert code == 2 and "expected no columns named answer_label, which the answers need" in errors


def test_genes_are_sent_and_not_repeated(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, ["one"], gene_A="1.5", gene_B="")
    assert run(Tables())[0] == 0
    assert [name for name in answers(tmp_path)[0] if "gen" in name] == [
        *("genomics_label", "genomics_confidence", "genomics_contribution")
    ]


def test_parquet_in_and_out_keep_types(run: Run, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"text": ["one", "bad", None] * 300, "id": range(900), "weight": [0.5, None, 1.5] * 300})
    parquet.write_table(table, tmp_path / "pairs.parquet")
    service = Tables()
    assert run(service, "--out", "answers.parquet", table="pairs.parquet")[0] == 3
    written = parquet.read_table(tmp_path / "answers.parquet")
    assert (
        written.schema.field("id").type == pyarrow.int64() and written.schema.field("weight").type == pyarrow.float64()
    )
    rows = written.to_pylist()
    assert [row["id"] for row in rows] == list(range(900)) and [row["row"] for row in rows] == list(range(1, 901))
    assert rows[0]["probability"] == 0.75 and rows[0]["error_kind"] is None and rows[0]["label"] == "one"
    types = {
        name: str(written.schema.field(name).type) for name in ("abstain", "missing", "baseline", "text_contribution")
    }
    assert types == {"abstain": "bool", "missing": "string", "baseline": "double", "text_contribution": "double"}
    assert (rows[0]["disagreement"], rows[0]["missing"], rows[0]["unusual"]) == (True, "", "image")
    assert (rows[1]["disagreement"], rows[1]["missing"]) == (None, None)
    assert rows[1]["error_status"] == 422 and rows[1]["probability"] is None
    assert rows[2]["error_kind"] == "invalid-call" and rows[2]["text"] is None


def test_parquet_without_pyarrow_names_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(tmp_path, ["one"])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    code, _, errors = run(Tables(), "--out", "answers.parquet")
    assert code == 2 and "pip install 'infobridge[parquet]'" in errors


def test_the_state_is_readable_by_people(run: Run, tmp_path: Path) -> None:
    pairs(tmp_path, ["one", "bad"])
    run(Tables())
    first, *lines = [json.loads(line) for line in (tmp_path / "answers.csv.partial").read_text("utf-8").splitlines()]
    assert first["format"] == "infobridge predict-many 2" and first["columns"]["text"] == "text"
    assert {line["row"]: line["error_kind"] for line in lines} == {0: None, 1: "invalid-input"}
