"""Where a bundle comes from: facts for people, without a trace of the maker's folders."""

from dataclasses import asdict
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bundle.runtime import onnxruntime
from export.to_onnx import OPSET
from training.checkpoint import Checkpoint

LOCAL = ("out", "cache", "workers")
"""Options that say something of the maker's machine and nothing of the model."""
PACKAGES = ("torch", "onnx", "onnxscript")


def provenance(run: Checkpoint, difference: float) -> dict[str, Any]:
    """Everything that is known of a run and its export, as JSON values.

    Args:
        run: the finished training.
        difference: largest difference of a probability between torch and the graph.
    """
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "dataset": run.config.dataset,
        "method": run.config.method,
        "seed": run.config.seed,
        "metrics": run.metrics,
        "config": _plain({key: value for key, value in asdict(run.config).items() if key not in LOCAL}),
        **run.provenance,
        "export": {
            "opset": OPSET,
            "difference": difference,
            "versions": {**versions, "onnxruntime": onnxruntime.__version__},
        },
    }


def _plain(value: Any) -> Any:
    """JSON values; a path shrinks to its name, since a bundle travels and its maker's folders do not."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str):
        absolute = next(
            (path for kind in (PurePosixPath, PureWindowsPath) if (path := kind(value)).is_absolute()), None
        )
        return value if absolute is None else absolute.name
    return value
