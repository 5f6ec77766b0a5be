"""LitServe with batching, on the same ONNX session: `python -m benchmarks.peers.litserve_onnx BUNDLE --port 3001`.

As its documentation shows: `setup`, `decode_request` on the form, `predict` on the batch, `encode_response`; batches of
up to 8 for which it waits 2 ms. One worker, since the session itself uses the cores. Without uvicorn's access log.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request

from benchmarks.peers import command
from bundle.answer import Prediction
from bundle.predictor import Arrays, Predictor

MAX_BATCH = 8
WAIT = 0.002
"""Seconds."""


class Bundle(litserve.LitAPI):  # type: ignore[misc]
    """One bundle."""

    def __init__(self, folder: Path, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._folder, self._threads = folder, threads

    def setup(self, device: str) -> None:
        """Load, in the worker."""
        del device
        self.predictor = Predictor(self._folder, threads=self._threads)

    def decode_request(self, request: Request) -> Arrays:
        """A form to the graph's inputs."""
        form: Any = request  # LitServe reads a form itself and passes that
        sample = {name: value if isinstance(value, str) else value.file.read() for name, value in form.items()}
        return self.predictor.prepare(sample)

    def predict(self, batch: list[Arrays]) -> list[Prediction]:
        """Answers for a batch."""
        return self.predictor.infer(batch)

    def encode_response(self, output: Prediction) -> dict[str, Any]:
        """JSON values."""
        return asdict(output)


def main() -> None:
    """Serve until stopped."""
    options = command.read(__doc__)
    api = Bundle(options.folder, options.threads, max_batch_size=MAX_BATCH, batch_timeout=WAIT)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, access_log=False)


if __name__ == "__main__":
    main()
