"""Triton over the bundle's graph: `python -m benchmarks.peers.triton_server BUNDLE --port 3001`.

The server that `python -m scripts.triton install` brings, on the repository that `python -m export` writes: the Python
backend over ONNX Runtime, with dynamic batching of up to 8 and no wait for others. HTTP on the port, gRPC on the next.
It takes tensors; `benchmarks/peers/triton_client.py` is what its callers do besides.
"""

import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from benchmarks.peers import command
from export.to_triton import to_triton
from export.triton_config import TritonOptions
from scripts import triton

NAME = "model"


def main() -> None:
    """Serve until stopped."""
    options = command.read(__doc__)
    asked = TritonOptions(("portable",), max_batch=8, queue_delay_us=0, threads=options.threads)
    with tempfile.TemporaryDirectory() as folder:
        to_triton(options.folder, Path(folder), asked, NAME)
        ports = (options.port, options.port + 1)
        running = triton.start(Path(folder) / "portable", Path(folder) / "log", triton.installed(), ports)

        def end(number: int, frame: FrameType | None) -> None:
            sys.exit(0)

        signal.signal(signal.SIGTERM, end)
        try:
            triton.wait(running)
            running.process.wait()
        finally:
            running.stop()


if __name__ == "__main__":
    main()
