"""The whole way on generated data: train, export, serve, ask. `make demo` runs it."""

import csv
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUN, BUNDLE, DATA = Path("runs/demo"), Path("runs/demo-bundle"), Path("demo-data")
PATIENCE = 60.0


def say(text: str) -> None:
    """A heading between the steps."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def call(*arguments: str) -> None:
    """Show a command as a person would type it, run it, and stop the demo where it fails."""
    print(f"$ python {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, *arguments]).returncode
    if code:
        sys.exit(code)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def held_out() -> dict[str, str]:
    """A pair of the test split: its files, and its label."""
    table = max(DATA.glob("audio-video-*/table.csv"), key=lambda path: path.stat().st_mtime)
    with table.open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "test")
    return {name: str(table.parent / row[name]) for name in ("audio", "video")} | {"label": row["label"]}


@contextmanager
def served(port: int) -> Iterator[str]:
    """A running server on the bundle, stopped at the end."""
    arguments = ["-m", "bentoml", "serve", "serving.service:InfoBridge", "--port", str(port)]
    print(f"$ INFOBRIDGE_BUNDLES={BUNDLE} python {' '.join(arguments)}", flush=True)
    environment = {**os.environ, "INFOBRIDGE_BUNDLES": str(BUNDLE), "BENTOML_DO_NOT_TRACK": "True"}
    with tempfile.TemporaryFile() as log:
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


def ready(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server says that it can answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def main() -> None:
    """Run the four steps."""
    started = time.monotonic()
    say("1. Train an InfoBridge classifier on generated pairs of sound and video")
    call("-m", "training.fit", "--out", str(RUN), "--overwrite")
    say("2. Export it to a bundle: an ONNX graph, proved equal to the trained model")
    call("-m", "export", str(RUN), "--to", str(BUNDLE), "--overwrite")
    say("3. Serve the bundle")
    sample = held_out()
    with served(free_port()) as url:
        say(f"4. Ask about a pair that training never saw; the truth is {sample['label']}")
        call("-m", "clients", "predict", url, "--audio", sample["audio"], "--video", sample["video"])
    say(f"Done in {time.monotonic() - started:.0f} seconds; the server is stopped. The bundle is in {BUNDLE}.")


if __name__ == "__main__":
    main()
