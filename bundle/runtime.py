"""ONNX Runtime, told before it is loaded to report to nobody."""

import os
from types import ModuleType

SWITCH = "ORT_DISABLE_TELEMETRY"
"""Its builds for Linux send names and hashes of models to their maker from 1.29 on, unless this variable is set."""


def _load() -> ModuleType:
    os.environ.setdefault(SWITCH, "1")
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]


onnxruntime = _load()
