"""ONNX Runtime reports to nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LOAD = "import {module}, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


@pytest.mark.parametrize("module", ["bundle.predictor", "export.parity", "export.provenance"])
def test_whoever_loads_it_has_told_it_so_before(module: str, tmp_path: Path) -> None:
    """What it would report is kept in a file of the folder for temporary files until it is sent."""
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-c", LOAD.format(module=module)]
    subprocess.run(command, cwd=ROOT, env=kept | {"TMPDIR": str(tmp_path)}, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []
