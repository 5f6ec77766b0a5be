"""One inference in ONNX Runtime: from arrays in this process, or copied to a device once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bundle.modalities import Array
from bundle.runtime import onnxruntime

HOST = "cpu"


def run_plain(session: Any, names: Sequence[str], feed: Mapping[str, Array], options: Any = None) -> dict[str, Array]:
    """Outputs by name, computed from arrays where they are.

    Args:
        session: of the graph; several threads may share it.
        names: of the outputs.
        feed: inputs by name.
        options: ONNX Runtime's, through which a run can be ended; None for none.
    """
    return dict(zip(names, session.run(list(names), dict(feed), options), strict=True))


def run_bound(
    session: Any, names: Sequence[str], feed: Mapping[str, Array], device: tuple[str, int], options: Any = None
) -> dict[str, Array]:
    """Outputs by name, computed on a device: each input is copied there once, each output from there once.

    A binding belongs to one run, so that threads share nothing but the session.

    Args:
        session: of the graph; several threads may share it.
        names: of the outputs.
        feed: inputs by name.
        device: its kind, `cuda` or `cpu`, and its number.
        options: ONNX Runtime's, through which a run can be ended; None for none.
    """
    binding = session.io_binding()
    for name, values in feed.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), *device)
        binding.bind_ortvalue_input(name, value)
    for name in names:
        binding.bind_output(name, HOST)
    session.run_with_iobinding(binding, options)
    return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))
