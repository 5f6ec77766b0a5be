"""Where a bundle comes from: facts for people, without a trace of the maker's folders."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bundle.runtime import onnxruntime
from export.calibrate import Measured
from export.to_onnx import OPSET
from training.checkpoint import Checkpoint
from training.command import LOCAL
from training.measures.improvement import Improvement

PACKAGES = ("torch", "onnx", "onnxscript")


def provenance(run: Checkpoint, difference: float, measured: Measured, found: Sequence[Improvement]) -> dict[str, Any]:
    """Everything that is known of a run and its export, as JSON values.

    Args:
        run: the finished training.
        difference: largest difference of an output between torch and the graph.
        measured: what its scores tell.
        found: the calibration of its outputs on test.
    """
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "dataset": run.config.dataset,
        "method": run.config.method,
        "seed": run.config.seed,
        "metrics": run.metrics,
        "config": _plain({key: value for key, value in asdict(run.config).items() if key not in ("out", *LOCAL)}),
        **run.provenance,
        "export": {
            "opset": OPSET,
            "difference": difference,
            "calibration": _calibration(measured, found),
            "shift_quantile": measured.shift_quantile,
            "abstention": None if measured.abstention is None else asdict(measured.abstention),
            "quantization": None if measured.quantized is None else asdict(measured.quantized),
            "versions": {**versions, "onnxruntime": onnxruntime.__version__},
        },
    }


def _calibration(measured: Measured, found: Sequence[Improvement]) -> dict[str, Any]:
    """Expected calibration errors on test (equal mass) by output, and which outputs have no temperature."""
    errors = {
        one.output.title: {
            "temperature": one.after.temperature,
            "before": one.before.equal_mass.plug_in,
            "after": one.after.equal_mass.plug_in,
            "debiased": one.after.equal_mass.debiased.value,
            "calibrated_model": [one.after.equal_mass.band.low, one.after.equal_mass.band.high],
        }
        for one in found
    }
    refused = {output.title: reason for output, reason in measured.refused.items()}
    return {"samples": len(measured.validation.labels), "errors": errors, "refused": refused}


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
