"""TensorRT, and TensorRT-RTX, which has its parser and builder, installs everywhere and builds without a GPU."""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from export.errors import ExportError

OLDEST = (10, 13)
"""Of TensorRT; what came before knows no networks whose types are those of the graph alone."""
TENSORRT = ("tensorrt",)
RTX = ("tensorrt_rtx", "tensorrt_rtx_bindings")
"""Names of its module: of NVIDIA's own package, and of the wheels that the package index serves."""
INSTALL_TENSORRT = "pip install 'infobridge[tensorrt]' on the machine with the GPU that is to run the engine"
INSTALL_RTX = "pip install 'infobridge[tensorrt-check]' (Linux on x86-64)"


@dataclass(frozen=True)
class Library:
    """One of the two, imported."""

    module: Any
    kind: Literal["TensorRT", "TensorRT-RTX"]

    @property
    def version(self) -> str:
        """As it says itself, such as 10.16.1.11."""
        return str(self.module.__version__)

    @property
    def targets(self) -> tuple[str, ...]:
        """Compute capabilities that an engine can be built for without a card of them, such as SM86."""
        if self.kind == "TensorRT":
            return ()
        known = self.module.ComputeCapability.__members__
        return tuple(name for name in known if re.fullmatch(r"SM\d+", name))


def tensorrt() -> Library:
    """TensorRT itself, whose engines Triton and ONNX Runtime's provider take.

    Raises:
        ExportError: it is not installed, or too old; says what to install.
    """
    library = Library(_load(TENSORRT, "an engine needs TensorRT", INSTALL_TENSORRT), "TensorRT")
    numbers = tuple(int(part) for part in re.findall(r"\d+", library.version)[:2])
    if numbers < OLDEST:
        raise ExportError(f"expected TensorRT 10.13 or newer, found {library.version}: {INSTALL_TENSORRT}")
    return library


def tensorrt_rtx() -> Library:
    """TensorRT-RTX.

    Raises:
        ExportError: it is not installed; says what to install.
    """
    return Library(_load(RTX, "checking a graph for TensorRT needs TensorRT-RTX", INSTALL_RTX), "TensorRT-RTX")


def _load(names: tuple[str, ...], what: str, remedy: str) -> Any:
    reasons = []
    for name in names:
        try:
            return import_module(name)
        except (ImportError, OSError, RuntimeError) as error:  # the two last of libraries that do not load
            reasons.append(str(error))
    raise ExportError(f"{what}, which cannot be imported ({reasons[-1]}); {remedy}")
