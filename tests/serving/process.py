"""A real server process on a free port, for tests over a real socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    host: str
    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def wait_for(self, path: str, status: int) -> None:
        until = time.monotonic() + PATIENCE
        with self.client() as client:
            while True:
                try:
                    found: object = client.get(path).status_code
                except httpx.TransportError as error:
                    found = error
                if found == status:
                    return
                assert self.process.poll() is None and time.monotonic() < until, f"{found!r}\n{self.log()[-3000:]}"
                time.sleep(0.1)

    def wait_for_log(self, text: str) -> None:
        until = time.monotonic() + PATIENCE
        while text not in self.log():
            assert self.process.poll() is None and time.monotonic() < until, self.log()[-3000:]
            time.sleep(0.1)

    def wait_for_metric(self, start: str, value: float) -> None:
        until = time.monotonic() + PATIENCE
        with self.client() as client:
            while True:
                lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(start)]
                if sum(float(line.rsplit(" ", 1)[1]) for line in lines) == value:
                    return
                assert time.monotonic() < until, f"{lines}\n{self.log()[-3000:]}"
                time.sleep(0.1)


def environment(home: Path | None, **settings: object) -> dict[str, str]:
    """A server's environment: none of the caller's settings, quiet threads, no reports to anyone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INFOBRIDGE_", "BENTOML_"))}
    kept |= {"BENTOML_DO_NOT_TRACK": "True", "OMP_WAIT_POLICY": "PASSIVE"}
    if home is not None:
        kept["BENTOML_HOME"] = str(home)
    return kept | {f"INFOBRIDGE_{name.upper()}": str(value) for name, value in settings.items()}


def free_port() -> int:
    """A port that is free now, and that no other worker of these tests takes before a server has it."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port // 2 % workers == worker:  # systems prefer odd ones
            return port


@contextmanager
def serving(
    folder: Path,
    variables: dict[str, str],
    target: str = "serving.service:InfoBridge",
    cwd: Path = ROOT,
    python: str = sys.executable,
) -> Iterator[Server]:
    """Start `python -m bentoml serve`; end it, and whatever it started, afterwards."""
    port = free_port()
    log_file = folder / "server.log"
    command: Sequence[str] = [python, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=cwd, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Server(process, "127.0.0.1", port, log_file)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
