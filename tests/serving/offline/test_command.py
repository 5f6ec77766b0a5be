"""The command: what it refuses before any work, what it says, and what it measures."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tyro

from serving.offline import command, worker
from serving.offline.joining import join
from serving.offline.parts import Parts
from serving.offline.worker import Worker
from tests.serving.offline import pairs
from tests.serving.offline.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shard", "0/3"), "shard: expected a number and how many there are, such as 3/16, found '0/3'"),
        (("--shard", "4/3"), "found '4/3'"),
        (("--shard", "3"), "found '3'"),
        (("--shard", "a/b"), "found 'a/b'"),
        (("--batch", "0"), "batch: expected 1 or more, found 0"),
        (("--part", "-1"), "part: expected 1 or more, found -1"),
        (("--threads", "0"), "threads: expected 1 or more, found 0"),
        (("--abstain-below", "1.5"), "abstain_below: expected a number from 0 to 1, found 1.5"),
        (("--columns", "audio=id"), "columns: expected one of image, text, = and a column, found 'audio=id'"),
        (("--columns", "text=words"), "columns: expected a column 'words' for text"),
        (("--columns", "text=", "--require-all"), "expected columns for image, text, since none may be missing"),
        (("--providers", "cuda"), "a graph cannot run where it was asked to: cuda: "),
        (("--providers", "cuda", "cpu", "--require-gpu"), "a graph cannot run where it was asked to: cuda: "),
        (("--require-gpu",), "a GPU is required, and none is asked for"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    folder: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setenv("INFOBRIDGE_GPU_DEVICE", "999")
    table = pairs.write(folder / "refused.csv", 4)
    code, shown, errors = run(table, tmp_path / "answers.csv", *arguments)
    assert (code, shown) == (2, "") and message in errors and len(errors.splitlines()) == 1


def test_a_gpu_that_cannot_be_used_is_told_and_so_is_what_runs(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFOBRIDGE_GPU_DEVICE", "999")
    table = pairs.write(folder / "fallback.csv", 8, broken=0)
    code, _, errors = run(table, tmp_path / "answers.csv", "--providers", "cuda", "cpu")
    told, runs, *_ = errors.splitlines()
    assert code == 0 and told.startswith("not on cuda: ") and runs == "on cpu, in fp32 by CPUExecutionProvider"
    code, _, errors = run(table, tmp_path / "again.csv")
    assert code == 0 and "on cpu" not in errors


def test_a_run_that_is_refused_leaves_nothing_and_forgets_nothing(folder: Path, tmp_path: Path, run: Run) -> None:
    table, out = pairs.write(folder / "refused.csv", 8, broken=0), tmp_path / "answers.csv"
    code, _, errors = run(table, out, "--providers", "cuda", "--batch", "4")
    if code == 0:
        pytest.skip("CUDA works here")
    assert code == 2 and "goes on from there" not in errors and not list(tmp_path.iterdir())


def test_going_on_with_another_provider_is_refused(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = pairs.write(folder / "other.csv", 16, broken=0), tmp_path / "answers.csv"
    put = Parts.put

    def stopping(self: Parts, part: int, errors: int, content: bytes) -> None:
        put(self, part, errors, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Parts, "put", stopping)
        assert run(table, out, "--part", "4")[0] == 130
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "arithmetic", "tf32 by CUDAExecutionProvider")
        code, _, errors = run(table, out, "--part", "4")
    assert code == 2 and "computed in fp32 by CPUExecutionProvider, found tf32 by CUDAExecutionProvider" in errors
    assert "keeps 4 of 16 rows" in errors
    assert run(table, out, "--part", "4")[0] == 0


def test_places_that_make_no_sense_are_refused(folder: Path, tmp_path: Path, run: Run) -> None:
    table = pairs.write(folder / "refused.csv", 4)
    for out, message in (
        (tmp_path / "answers.txt", "out: expected a name that ends in .csv or .parquet"),
        (table, "out: expected another file than the table"),
        (table / "answers.csv", "expected a folder to write into"),
    ):
        code, _, errors = run(table, out)
        assert code == 2 and message in errors
    code, _, errors = run(folder / "nothing.csv", tmp_path / "x.csv")
    assert code == 2 and "expected a CSV or Parquet table, found none (No such file or directory)" in errors


def test_a_variable_that_is_none_is_refused(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFOBRIDGE_PIXEL", "5")
    code, _, errors = run(pairs.write(folder / "refused.csv", 4), tmp_path / "answers.csv")
    assert code == 2 and "INFOBRIDGE_PIXEL is not a setting" in errors


def test_an_output_is_not_replaced_unasked(folder: Path, tmp_path: Path, run: Run) -> None:
    table = pairs.write(folder / "again.csv", 8, broken=0)
    code, shown, _ = run(table, tmp_path / "answers.csv")
    assert (code, shown) == (0, f"{tmp_path / 'answers.csv'}: 8 answers\n")
    before = (tmp_path / "answers.csv").read_bytes()
    code, _, errors = run(table, tmp_path / "answers.csv")
    assert code == 2 and "--overwrite answers all rows anew" in errors
    (tmp_path / "answers.csv").write_bytes(b"other")
    assert run(table, tmp_path / "answers.csv", "--overwrite")[0] == 0
    assert (tmp_path / "answers.csv").read_bytes() == before


def test_the_last_line_of_progress_tells_rate_errors_and_time_left(folder: Path, tmp_path: Path, run: Run) -> None:
    _, _, errors = run(pairs.write(folder / "told.csv", 40), tmp_path / "answers.csv", "--part", "8")
    assert errors.splitlines()[-1].startswith("40 of 40 rows, ") and errors.endswith(
        " rows/s, 4 errors, 0:00:00 left\n"
    )


def test_a_measured_batch_is_kept_for_the_runs_that_go_on(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([2, 8])
    monkeypatch.setattr(worker, "batch_size", lambda predictor, most: next(measured))
    asked: list[int] = []
    parts = Worker.parts

    def noted(self: Any, numbers: list[int], batch: int) -> Any:
        asked.append(batch)
        for part in parts(self, numbers, batch):
            yield part
            if len(asked) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "parts", noted)
    table = pairs.write(folder / "measured.csv", 40, broken=0)
    given = [str(folder / "bundle"), "--table", str(table), "--out", str(tmp_path / "a.csv"), "--part", "8"]
    assert command.run(tyro.cli(command.Offline, args=given)) == 130
    assert json.loads((tmp_path / "a.csv.parts/run.json").read_bytes())["batch"] == 2
    assert command.run(tyro.cli(command.Offline, args=given)) == 0
    assert asked == [2, 2]


def test_a_table_or_a_bundle_that_changed_is_not_gone_on_with(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pairs.write(folder / "changed.csv", 40, broken=0)

    def changed(*arguments: Any) -> None:
        table.write_bytes(table.read_bytes() + b"n,,red,\n")
        join(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(command, "join", changed)
        code, _, errors = run(table, tmp_path / "answers.csv")
    assert code == 2 and "it changed meanwhile; " in errors and "keeps 40 of 40 rows" in errors
    code, _, errors = run(table, tmp_path / "answers.csv")
    assert code == 2 and "is of a run with another table" in errors
    shutil.rmtree(tmp_path / "answers.csv.parts")
    assert run(table, tmp_path / "answers.csv")[0] == 0
