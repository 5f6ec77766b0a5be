"""The systems that are measured: how each is started, asked, put to sleep and stopped."""

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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.call import Target

PATIENCE = 60.0
"""Seconds a system has to become ready."""
OURS = "infobridge"
TRITON = "triton"


@dataclass(frozen=True)
class System:
    """One way of serving a model."""

    target: tuple[str, ...]
    """Arguments of python; the peer's folder, port and threads follow unless BentoML starts it."""
    ready: str
    """A path that answers below 500 once it can answer."""
    path: str = "/predict"
    """Where predictions are asked for; `{pairing}` stands for `image_text` and so on."""
    torch: bool = False
    """Whether it needs the checkpoint instead of the bundle."""

    @property
    def bento(self) -> bool:
        """Whether BentoML starts it."""
        return "bentoml" in self.target


def _peer(name: str) -> tuple[str, ...]:
    return ("-m", f"benchmarks.peers.{name}")


def _bento(service: str) -> tuple[str, ...]:
    return ("-m", "bentoml", "serve", service)


SYSTEMS = {
    OURS: System(_bento("serving.service:InfoBridge"), "/readyz", "/v1/predict"),
    "starlette": System(_peer("starlette_bare"), "/predict"),
    "litserve": System(_peer("litserve_onnx"), "/health"),
    "bentoml-typed": System(_bento("benchmarks.peers.bentoml_typed:Typed"), "/readyz", "/{pairing}"),
    "bentoml-batchable": System(_bento("benchmarks.peers.bentoml_batchable:Front"), "/readyz", "/{pairing}"),
    TRITON: System(_peer("triton_server"), "/v2/health/ready"),
    "fastapi-torch": System(_peer("fastapi_torch"), "/openapi.json", "/{pairing}", torch=True),
}


@dataclass
class Running:
    """A started system."""

    process: "subprocess.Popen[bytes]"
    target: Target
    log: Path
    started: float
    """Seconds from its start until it was ready."""

    def family(self) -> list[psutil.Process]:
        """Its processes."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def sleep(self) -> None:
        """Stop it from running at all, so that its polling costs the others nothing; returns when it has."""
        family = self.family()
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        limit = time.monotonic() + PATIENCE
        for process in family:
            with suppress(psutil.NoSuchProcess):
                while process.status() != psutil.STATUS_STOPPED and time.monotonic() < limit:
                    time.sleep(0.001)

    def wake(self) -> None:
        """Let it run again."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def cpu(self) -> float:
        """Seconds of processor time that its processes have used."""
        total = 0.0
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def libraries(self, name: str) -> set[str]:
        """Files with this in their name that its processes have mapped into memory."""
        found = set()
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                found |= {mapping.path for mapping in process.memory_maps() if name in mapping.path}
        return found

    def memory(self) -> int:
        """Bytes of its processes that are in memory."""
        return sum(process.memory_info().rss for process in self.family())

    def stop(self) -> None:
        """End it and whatever it started."""
        family = self.family()
        self.wake()
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


def environment(home: str) -> dict[str, str]:
    """The caller's, without settings of ours or BentoML's, and with threads that wait without spinning."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INFOBRIDGE_", "BENTOML_"))}
    return kept | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": home, "OMP_WAIT_POLICY": "PASSIVE"}


def free_port() -> int:
    """A port that nobody listens on, nor on the next one, which Triton takes too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


def command(system: System, folder: Path, port: int, threads: int) -> Sequence[str]:
    """The command line that starts a system on a model's folder."""
    if system.bento:
        return [sys.executable, *system.target, "--host", "127.0.0.1", "--port", str(port)]
    model = folder / ("run" if system.torch else "bundle")
    return [sys.executable, *system.target, str(model), "--port", str(port), "--threads", str(threads)]


@contextmanager
def started(name: str, folder: Path, pairing: str, threads: int) -> Iterator[Running]:
    """A system that is ready to answer, ended afterwards.

    Raises:
        RuntimeError: it did not become ready.
    """
    system = SYSTEMS[name]
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        variables = environment(home)
        if name == OURS:
            variables |= {"INFOBRIDGE_BUNDLES": str(folder / "bundle"), "INFOBRIDGE_INFERENCE_THREADS": str(threads)}
        elif system.bento:
            variables |= {"BUNDLE": str(folder / "bundle"), "THREADS": str(threads)}
        log = Path(home) / "server.log"
        begin = time.perf_counter()
        with log.open("wb") as output:
            arguments = command(system, folder, port, threads)
            process = subprocess.Popen(arguments, env=variables, stdout=output, stderr=output, start_new_session=True)
        running = Running(process, Target(port, system.path.format(pairing=pairing)), log, 0.0)
        try:
            _wait(f"http://127.0.0.1:{port}{system.ready}", running)
            running.started = time.perf_counter() - begin
            yield running
        finally:
            running.stop()


def _wait(url: str, running: Running) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and running.process.poll() is None:
        try:
            with opener.open(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            if error.code < 500 and error.code != 404:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"{url} did not become ready:\n{running.log.read_text(errors='replace')[-2000:]}")
