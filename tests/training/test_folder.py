"""A run's folder is written by one training at a time."""

import os
import signal
import time
from errno import EOPNOTSUPP
from pathlib import Path

import pytest

from tests.training.conftest import Fit
from training import checkpoint
from training.errors import ConfigError
from training.folder import alone

TAKEN = "expected no other training there, found one at work"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_one_s_own_until_the_end(tmp_path: Path) -> None:
    with alone(tmp_path):
        with pytest.raises(ConfigError, match=TAKEN), alone(tmp_path):
            pass
        with alone(tmp_path.parent):
            pass
    with alone(tmp_path):
        assert not list(tmp_path.iterdir()), "nothing is left in it"


def test_a_killed_training_s_workers_do_not_keep_its_folder(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    training = os.fork()
    if training == 0:
        with alone(tmp_path):
            worker = os.fork()
            if worker != 0:
                os.write(writer, str(worker).encode())
            time.sleep(60)
        os._exit(0)
    worker = int(os.read(reader, 20))
    with pytest.raises(ConfigError, match=TAKEN), alone(tmp_path):
        pass
    os.kill(training, signal.SIGKILL)
    os.waitpid(training, 0)
    with alone(tmp_path):
        os.kill(worker, signal.SIGKILL)  # it was still there


def test_where_a_file_system_cannot_lock_a_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(EOPNOTSUPP, os.strerror(EOPNOTSUPP))

    monkeypatch.setattr("fcntl.flock", unsupported)
    with alone(tmp_path), alone(tmp_path):
        pass


@pytest.mark.parametrize("options", [(), ("--overwrite",), ("--resume",)])
def test_a_second_training_is_refused_and_changes_nothing(
    options: tuple[str, ...], table: Path, tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert fit(table) == 0
    if options == ("--resume",):
        (out / checkpoint.RUN).unlink()
    elif not options:
        (out / checkpoint.CONFIG).rename(out / checkpoint.STARTING)
    before = content(out)
    with alone(out):
        assert fit(table, *options) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: --out {out}: {TAKEN}")
    assert content(out) == before
