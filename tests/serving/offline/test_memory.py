"""Memory does not grow with the rows: ten times as many take no more of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.offline.joining import GROUP
from tests.conftest import ROOT
from tests.serving.offline import pairs

PROGRAM = """
import sys
from serving.offline import command
from serving.offline.__main__ import main

def peak():
    return next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]

def joining(*arguments):
    print(peak())
    join(*arguments)

join, command.join = command.join, joining
code = main(sys.argv[1:])
print(peak(), code)
"""
NOISE = 6 * 1024
"""Kibibytes that allocators differ by from run to run."""


def peaks(folder: Path, table: Path, out: Path) -> tuple[int, int]:
    """Kibibytes that a run takes at most, interpreter and graph included: until all is answered, and until written."""
    given = [str(folder / "bundle"), "--table", str(table), "--out", str(out), "--batch", "8", "--part", "100"]
    options = ["--threads", "2", "--inference-threads", "1"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given, *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    answered, *_, last = done.stdout.splitlines()
    written, code = last.split()
    assert code == "3"
    return int(answered), int(written)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc to know a process's peak")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_is_flat_in_the_number_of_rows(folder: Path, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pyarrow")
    small, large = (
        peaks(folder, pairs.write(folder / f"{rows}.{kind}", rows, broken=100), tmp_path / f"{rows}.{kind}")
        for rows in (1_000, 10_000)
    )
    group = 5 * GROUP // 1024 if kind == "parquet" else 0  # in small pieces, once more as one, and as it is written
    assert large[0] - small[0] < NOISE
    assert large[1] - small[1] < NOISE + group
