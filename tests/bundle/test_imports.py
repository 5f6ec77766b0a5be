"""What serving and callers install must not need torch."""

import importlib.util
import subprocess
import sys

import pytest

BLOCKED = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; "


@pytest.mark.parametrize(
    "module",
    ["bundle", "bundle.predictor", "bundle.selfcheck", "clients", "clients.rest", "clients.__main__", "serving"],
)
def test_it_imports_without_torch_and_transformers(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there")
    subprocess.run([sys.executable, "-c", f"{BLOCKED}import {module}"], check=True, timeout=60)


def test_preprocessing_imports_without_onnxruntime() -> None:
    code = "import sys; sys.modules['onnxruntime'] = None; import bundle.manifest, bundle.modalities, bundle.answer"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
