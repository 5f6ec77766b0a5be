"""The engine on Ray Data: the same file as that of this process, and parts that either can go on with."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.errors import ExecutionUnavailable
from serving.offline import on_ray
from serving.offline.parts import Parts
from tests.serving.offline import pairs
from tests.serving.offline.conftest import Run


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray on two cores of this machine, started once."""
    pytest.importorskip("ray.data", reason="needs Ray Data: pip install 'infobridge[ray]'")
    module = on_ray.ray_module()
    module.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield module
    module.shutdown()


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_both_engines_write_the_same_file(ray: Any, folder: Path, tmp_path: Path, run: Run, kind: str) -> None:
    pytest.importorskip("pyarrow")
    table = pairs.write(folder / f"engines.{kind}", 120)
    local, elsewhere = tmp_path / f"local.{kind}", tmp_path / f"ray.{kind}"
    assert run(table, local, "--part", "16")[0] == 3
    code, shown, errors = run(table, elsewhere, "--part", "16", "--engine", "ray")
    assert (code, shown) == (3, f"{elsewhere}: 108 answers, 12 errors\n")
    assert errors.splitlines()[-1].startswith("120 of 120 rows, ")
    assert elsewhere.read_bytes() == local.read_bytes()


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_one_engine_goes_on_where_the_other_was_stopped(
    ray: Any, folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pairs.write(folder / "changed.csv", 60)
    put, left = Parts.put, [5]

    def stopping(self: Parts, part: int, errors: int, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        put(self, part, errors, content)

    with monkeypatch.context() as patched:
        patched.setattr(Parts, "put", stopping)
        assert run(table, tmp_path / "answers.csv", "--part", "4", "--engine", "ray", "--workers", "1")[0] == 130
    assert len(list((tmp_path / "answers.csv.parts").glob("*-*"))) == 5
    assert run(table, tmp_path / "answers.csv", "--part", "4")[0] == 3
    with (tmp_path / "answers.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [f"n{number}" for number in range(60)]


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_bundle_that_a_worker_cannot_use_ends_the_run_in_one_line(
    ray: Any, folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFOBRIDGE_GPU_DEVICE", "999")
    table = pairs.write(folder / "none.csv", 8)
    code, _, errors = run(
        table, tmp_path / "answers.csv", "--engine", "ray", "--workers", "1", "--batch", "4", "--providers", "cuda"
    )
    last = errors.splitlines()[-1]
    assert code == 2 and "expected answers from Ray's workers, found " in last and "goes on" not in last


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_what_a_worker_of_ray_really_runs_on_is_told(
    ray: Any, folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFOBRIDGE_GPU_DEVICE", "999")
    table = pairs.write(folder / "fallback.csv", 8, broken=0)
    code, _, errors = run(table, tmp_path / "a.csv", "--engine", "ray", "--workers", "1", "--providers", "cuda", "cpu")
    lines = errors.splitlines()
    assert code == 0 and any(line.startswith("not on cuda: ") for line in lines)
    assert "on cpu, in fp32 by CPUExecutionProvider" in lines


def test_a_machine_that_computes_otherwise_is_refused() -> None:
    on_ray.check_alike("fp32 by CPUExecutionProvider", "fp32 by CPUExecutionProvider")
    with pytest.raises(
        ExecutionUnavailable, match=r"computes in fp32 by CUDA.* as the first, found one in fp32 by CPU"
    ):
        on_ray.check_alike("fp32 by CPUExecutionProvider", "fp32 by CUDAExecutionProvider")


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_more_threads_than_any_machine_has_cores_are_refused(ray: Any, folder: Path, tmp_path: Path, run: Run) -> None:
    table = pairs.write(folder / "none.csv", 8)
    code, _, errors = run(table, tmp_path / "answers.csv", "--engine", "ray", "--threads", "3")
    assert code == 2 and "threads: expected at most as many as a machine has cores, 2, found 3" in errors


def test_without_ray_the_engine_is_refused_in_one_line(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, errors = run(pairs.write(folder / "none.csv", 8), tmp_path / "answers.csv", "--engine", "ray")
    assert code == 2 and "engine: expected Ray Data, it is not installed: pip install 'infobridge[ray]'" in errors
