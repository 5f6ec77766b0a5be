"""Two processes train as one does with the same batches, for every method; and what goes wrong is said once."""

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tests.conftest import ROOT
from tests.training import alike
from tests.training.alike import STEADY
from tests.training.conftest import Fit, Refused
from tests.training.tables import QUICK, Row, changed, write_csv
from tests.training.test_resume import Killed, kill_on_call
from training import catalog, distributed
from training.batch_norm import GlobalBatchNorm, globalise
from training.config import Config
from training.errors import ConfigError, DataError
from training.sampling import Division

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "2"]
LEAN = ("--modalities", "image", "genomics", "--method", "joint")


def launch(*arguments: object, launcher: Sequence[str] = LAUNCH, **more: object) -> subprocess.CompletedProcess[str]:
    """A module on two processes, with `more` in their environment."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in more.items()}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [*launcher, *map(str, arguments)]
    started = subprocess.Popen(command, cwd=ROOT, env=settings, start_new_session=True, **pipes)
    try:
        out, err = started.communicate(timeout=200)
    finally:
        with suppress(ProcessLookupError):  # a launcher that is killed leaves its processes behind
            os.killpg(started.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)


@pytest.fixture(scope="module")
def shared(media: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table."""
    folder = tmp_path_factory.mktemp("processes")
    write_csv(folder / "table.csv", media)
    return folder


@pytest.fixture(scope="module")
def two(shared: Path, decoded: Path) -> Path:
    """What each of two processes found, for all cases from one start."""
    (shared / "two").mkdir()
    done = launch("tests.training.alike", shared / "table.csv", decoded, shared / "two")
    assert done.returncode == 0, done.stderr
    return shared / "two"


def leaves(value: Any, name: str = "") -> dict[str, float]:
    """The numbers of a nested value by their path."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path: leaf for key, entry in entries for path, leaf in leaves(entry, f"{name}/{key}").items()}
    return found or {name: value}


def test_every_method_is_compared() -> None:
    assert set(catalog.names("methods")) <= set(alike.CASES)


@pytest.mark.parametrize("case", list(alike.CASES))
def test_two_processes_train_as_one(case: str, two: Path, shared: Path, decoded: Path) -> None:
    one = json.loads(json.dumps(alike.course(case, shared / "table.csv", decoded, shared / "one" / case)))
    first, second = (json.loads((two / f"{case} {number}.json").read_text("utf-8")) for number in range(2))
    assert first == second, "both processes hold the same, bit for bit"
    assert first["samples"] == one["samples"], "every sample measured once, in the same order"
    expected, found = leaves(one), leaves(first)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        if "/stand_ins." in name:  # L-BFGS goes its own ways after training, as far as they are of any consequence
            continue
        assert found[name] == pytest.approx(value, rel=2e-3, abs=2e-4), name
    losses = {name: value for name, value in expected.items() if "/loss/" in name}
    assert losses and len(set(losses.values())) > 1, "something was learned"
    for name, value in losses.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_a_training_goes_on_with_other_processes_and_speaks_once(
    table: Path, tmp_path: Path, decoded: Path, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--method", "infobridge", *STEADY[:-2], "--method.memory", "32", "--epochs", "3")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.SGD, "step", kill_on_call(5, torch.optim.SGD.step, before=False))
        fit(table, *options)
    done = launch("training.fit", "--resume", "--out", tmp_path / "run", "--processes", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes on cpu") == done.stdout.count("epoch   3/3") == 1
    assert done.stderr.count("Resuming after epoch 1") == 1
    assert fit(table, *options, out=tmp_path / "whole") == 0
    one, found = (leaves(history(tmp_path / name)) for name in ("whole", "run"))
    assert one.keys() == found.keys()
    assert all(found[name] == pytest.approx(value, rel=1e-3, abs=1e-4) for name, value in one.items())
    assert len(list((tmp_path / "run").glob("state-*"))) == 1 and (tmp_path / "run" / "run.json").exists()


def history(folder: Path) -> Any:
    return json.loads((folder / "history.json").read_text("utf-8"))


def test_what_cannot_be_trained_on_is_said_once(rows: list[Row], tmp_path: Path) -> None:
    table = write_csv(tmp_path / "table.csv", changed(rows, 3, image="nowhere.png"))
    done = launch("training.fit", "--dataset", "table", "--dataset.path", table, *QUICK, *LEAN, "--out", tmp_path / "a")
    assert done.returncode != 0 and done.stderr.count("error: ") == 1
    assert "nowhere.png" in done.stderr and "epoch" not in done.stdout


def test_an_error_in_another_process_ends_all_and_is_said_once(table: Path, tmp_path: Path) -> None:
    done = launch(
        "tests.training.failing", "--dataset", "table", "--dataset.path", table, *QUICK, *LEAN, "--out", tmp_path / "a"
    )
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1 and "error: process 1 cannot go on" in done.stderr
    assert not (tmp_path / "a" / "run.json").exists()


def test_another_number_of_processes_than_asked_for_is_refused(refused: Refused, table: Path) -> None:
    (line,) = refused(table, "--processes", "2")
    assert line.startswith("--processes 2: expected as many, the launcher started 1; `torchrun --nproc-per-node 2")


def test_accelerate_s_launcher_starts_processes_that_train_together(table: Path, tmp_path: Path) -> None:
    done = launch(
        "training.fit", "--dataset", "table", "--dataset.path", table, *QUICK, *LEAN, "--out", tmp_path / "run",
        launcher=[*ACCELERATE, "--multi_gpu", "--main_process_port", "0", "-m"], HF_HOME=tmp_path, PYTHONPATH=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes on cpu") == 1
    assert (tmp_path / "run" / "run.json").exists()


def test_accelerate_s_launcher_is_found_out_where_it_starts_one_process(table: Path, tmp_path: Path) -> None:
    done = launch(
        "training.fit", "--dataset", "table", "--dataset.path", table, *QUICK, *LEAN, "--out", tmp_path / "run",
        launcher=[*ACCELERATE, "--cpu", "-m"], HF_HOME=tmp_path, PYTHONPATH=ROOT,
    )  # fmt: skip
    assert done.returncode != 0
    assert "error: accelerate launch was asked for several processes and started one" in done.stderr
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_processes_that_do_not_meet_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "3")
    with pytest.raises(ConfigError, match=r"started 3 processes that do not train together; `torchrun --nproc-per"):
        distributed._check_alone()


def test_accelerate_is_told_the_precision_by_the_configuration_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert distributed.start(Config(device="cpu")).mixed_precision == "no"


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("size", [5, 6, 16, 17, 64])
def test_every_sample_of_a_batch_is_of_one_part_and_one_process(size: int, parts: int, processes: int) -> None:
    divisions = [Division(number, processes, parts) for number in range(processes)]
    found = divisions[0].divide(size)
    assert [place for part in found for place in part] == list(range(size))
    assert len(found) == max(1, min(parts, size // max(2, processes)))
    for part in found:
        each = [division.own(part) for division in divisions]
        assert each == divisions[0].each(part) and [place for own in each for place in own] == list(part)
        assert max(map(len, each)) - min(map(len, each)) <= 1 and min(map(len, each)) >= 1
        assert len(part) >= max(2, processes)


@pytest.fixture
def alone() -> Iterator[None]:
    """A meeting of one process."""
    torch.distributed.init_process_group("gloo", store=torch._C._distributed_c10d.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_global_batch_normalisation_is_torch_s(kind: Any, momentum: float | None, affine: bool, alone: None) -> None:
    shape = (6, 4) if kind is nn.BatchNorm1d else (6, 4, 3, 5)
    one = kind(4, momentum=momentum, affine=affine)
    both = [nn.Sequential(layer) for layer in (one, copy.deepcopy(one))]
    globalise(both[1], torch.device("cpu"))
    assert isinstance(both[1][0], GlobalBatchNorm)
    generator = torch.Generator().manual_seed(0)
    for training in (True, True, False):
        found = []
        values, weights = (torch.randn(shape, generator=generator) * 3 + 2 for _ in range(2))
        for layer in both:
            entering = values.clone().requires_grad_()
            output = layer.train(training)(entering)
            (output * weights).sum().backward()
            gradients = [parameter.grad for parameter in layer.parameters()]
            found.append([output.detach(), entering.grad, *gradients, *layer.buffers()])
        for expected, other in zip(*found, strict=True):
            torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-5)


def test_global_batch_normalisation_refuses_what_has_no_channels(alone: None) -> None:
    with pytest.raises(ValueError, match="expected an input of 2 or more dimensions, got 1"):
        GlobalBatchNorm(4)(torch.ones(4))


def test_processes_that_see_different_data_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "count", lambda: 2)
    monkeypatch.setattr(distributed, "gather_object", lambda found: [*found, "other"])
    with pytest.raises(DataError, match="expected the same data in all 2 processes, found 2 different ones"):
        distributed.check_same("mine")


def test_a_batch_must_have_a_sample_for_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accelerator, "num_processes", 4)
    with pytest.raises(ConfigError, match="batch_size must be at least the number of processes, 4, not 3"):
        distributed.start(Config(device="cpu", batch_size=3))
