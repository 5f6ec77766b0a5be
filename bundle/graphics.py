"""What the graphics driver and NVIDIA's libraries say of themselves, before a graph is loaded."""

import ctypes
import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bundle.errors import ExecutionUnavailable
from bundle.runtime import onnxruntime

DRIVER = "libcuda.so.1"
TENSORRT = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
"""Those that ONNX Runtime's provider is linked to."""
WHEEL = "tensorrt_libs"
"""The package that brings them, in a folder that no loader searches."""
MAJOR, MINOR = 75, 76
"""The driver's numbers of the two halves of a compute capability."""
FAILED = "Failed to load "


@dataclass(frozen=True)
class Card:
    """One GPU."""

    name: str
    capability: str
    """Compute capability, such as 9.0."""


def find_card(number: int) -> Card:
    """The GPU of this number.

    Raises:
        ExecutionUnavailable: no driver, or no such GPU; with the driver's own reason.
    """
    driver = _library(DRIVER, "NVIDIA's driver")
    _ask(driver, "cuInit", 0)
    count, device = ctypes.c_int(), ctypes.c_int()
    _ask(driver, "cuDeviceGetCount", ctypes.byref(count))
    if number >= count.value:
        raise ExecutionUnavailable(f"device: expected a GPU below {count.value}, found number {number}")
    _ask(driver, "cuDeviceGet", ctypes.byref(device), number)
    name = ctypes.create_string_buffer(256)
    _ask(driver, "cuDeviceGetName", name, len(name), device)
    halves = []
    for attribute in (MAJOR, MINOR):
        value = ctypes.c_int()
        _ask(driver, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        halves.append(str(value.value))
    return Card(name.value.decode(errors="replace"), ".".join(halves))


def load_cuda() -> None:
    """Load CUDA and cuDNN from the packages nvidia-…, where they are installed: no loader searches their folders.

    Raises:
        ExecutionUnavailable: a library is missing; with the loader's reason.
    """
    said = io.StringIO()
    with redirect_stdout(said):
        onnxruntime.preload_dlls()
    missing = [line.removeprefix(FAILED) for line in said.getvalue().splitlines() if line.startswith(FAILED)]
    if missing:
        names = ", ".join(line.split(":", 1)[0] for line in missing)
        raise ExecutionUnavailable(f"{missing[0].split(': ', 1)[1]} (needed: {names}: pip install 'infobridge[gpu]')")


def load_tensorrt() -> str:
    """Load TensorRT, from its package where that is installed; returns its version.

    Raises:
        ExecutionUnavailable: a library is missing; with the loader's reason.
    """
    spec = find_spec(WHEEL)
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    loaded = []
    for name in TENSORRT:
        paths = [str(folder / name) for folder in folders if (folder / name).is_file()]
        loaded.append(_library([*paths, name][0], "pip install 'infobridge[tensorrt]'"))
    number = int(loaded[0].getInferLibVersion())
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _library(name: str, hint: str) -> Any:
    try:
        return ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ExecutionUnavailable(f"{error} ({hint})") from None


def _ask(driver: Any, function: str, *arguments: Any) -> None:
    code = int(getattr(driver, function)(*arguments))
    if code:
        told = ctypes.c_char_p()
        driver.cuGetErrorString(code, ctypes.byref(told))
        reason = (told.value or b"no reason").decode(errors="replace")
        raise ExecutionUnavailable(f"NVIDIA's driver refuses {function}: {reason} ({code})")
