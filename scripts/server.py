"""A service that runs for as long as a program needs it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds a server has to become ready."""


@contextmanager
def served(bundles: Sequence[Path]) -> Iterator[str]:
    """The address of a server on these bundles, stopped at the end; leaves the program if it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    arguments = ["-m", "bentoml", "serve", "serving.service:InfoBridge", "--host", "127.0.0.1", "--port", str(port)]
    listed = ",".join(map(str, bundles))
    print(f"$ INFOBRIDGE_BUNDLES={listed} python {' '.join(arguments)}", flush=True)
    environment = {**os.environ, "INFOBRIDGE_BUNDLES": listed, "BENTOML_DO_NOT_TRACK": "True"}
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
        environment["BENTOML_HOME"] = home  # servers that share one also share their metrics
        server = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            if not ready(url, server):
                log.seek(0)
                sys.exit("the server did not become ready:\n" + log.read().decode(errors="replace"))
            yield url
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def ready(url: str, server: "subprocess.Popen[bytes]") -> bool:
    """Wait until the server says that it can answer; false if it ended or took too long."""
    deadline = time.monotonic() + PATIENCE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with opener.open(f"{url}/readyz", timeout=2):
                return True
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            time.sleep(0.1)
        except OSError:
            time.sleep(0.1)
    return False
