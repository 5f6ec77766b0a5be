"""A bundle's graph in Triton's Python backend, over ONNX Runtime: copied as `model.py` beside `model.onnx`.

It runs inside Triton, in Triton's environment, and so imports nothing of ours: numpy and onnxruntime are all it needs.
"""

import json
import os
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What Triton looks for in `model.py`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph of this version; ONNX Runtime is told before to report its use to nobody."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        config = json.loads(args["model_config"])
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = {entry["name"]: [int(size) for size in entry["dims"]] for entry in config["output"]}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        threads = config["parameters"].get("intra_op_thread_count")
        if threads is not None:
            options.intra_op_num_threads = int(threads["string_value"])
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """The requests that Triton joined, as one batch; where that fails, each alone, so that one spoils no other."""
        feeds = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            for request in requests
        ]
        try:
            return self._run(feeds)
        except Exception as error:  # ONNX Runtime raises its own and built-in types
            if len(feeds) == 1:
                return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))]
            return [self.execute([request])[0] for request in requests]

    def _run(self, feeds: list[dict[str, Any]]) -> list[Any]:
        sizes = [len(feed[self._inputs[0]]) for feed in feeds]
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self._inputs}
        found = dict(zip(self._outputs, self._session.run(list(self._outputs), joined), strict=True))
        shaped = {name: found[name].reshape([-1, *sizes]) for name, sizes in self._outputs.items()}
        ends = np.cumsum(sizes)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, rows[end - size : end]) for name, rows in shaped.items()])
            for size, end in zip(sizes, ends, strict=True)
        ]
