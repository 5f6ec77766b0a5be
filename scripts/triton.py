"""A real Triton server without a container, in an environment of its own: `python -m scripts.triton install`.

It is the one that nvidia-pytriton's wheel carries: Linux, CPU, the Python backend alone, which serves the `portable`
flavour of `python -m export … --triton`. Its backend needs numpy below 2, and so cannot share our environment.

    python -m scripts.triton install               # into .venv-triton, or where TRITON_ENVIRONMENT says
    python -m scripts.triton serve REPOSITORY      # such as repository/portable, until Ctrl-C
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("nvidia-pytriton==0.7.0", "numpy==1.26.4", "onnxruntime==1.32.0")
"""Without what they depend on: of the first only the server is used, and the third needs but the second here."""
MARK = ".installed"
MEMORY = Path("/dev/shm")
"""Where shared memory is seen as files."""
PATIENCE = 60.0
"""Seconds a server has to become ready."""
TOLD = re.compile(r"E\d{4} [^]]*\] *(?P<error>.*)|\| *(?P<model>.*UNAVAILABLE: .*?)[ |]*|(?P<end>error: .*)")
"""Lines of a server's log that say what went wrong, of others that tell a model's state or what was loaded."""
CARDLESS = "CudaDriverHelper"
"""Of the error that every server without a card logs, and goes on."""
ECHO = """
import triton_python_backend_utils as pb_utils
import numpy, onnxruntime
class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("b", numpy.ones(1, numpy.float32))]) for _ in requests]
"""
ECHO_CONFIG = """
backend: "python"
input { name: "a" data_type: TYPE_FP32 dims: 1 }
output { name: "b" data_type: TYPE_FP32 dims: 1 }
instance_group { kind: KIND_CPU count: 1 }
"""


class Unavailable(Exception):
    """There is no Triton server here; says why."""


@dataclass(frozen=True)
class Triton:
    """A started server."""

    process: "subprocess.Popen[bytes]"
    http: int
    """Port of HTTP."""
    grpc: int
    """Port of gRPC."""
    log: Path
    memory: str
    """How the names of its shared memory begin."""

    def stop(self) -> None:
        """End it and whatever it started, and give back the memory that one that was killed leaves."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for left in MEMORY.glob(f"{self.memory}*"):
            left.unlink(missing_ok=True)


def environment() -> Path:
    """Where the server is, or is to be."""
    return Path(os.environ.get("TRITON_ENVIRONMENT") or ROOT / ".venv-triton").resolve()


def installed() -> Path:
    """The folder of the server.

    Raises:
        Unavailable: it is not installed.
    """
    folder = environment()
    if not (folder / MARK).is_file():
        raise Unavailable(f"no Triton server in {folder}: python -m scripts.triton install")
    return _server(folder)


def _server(folder: Path) -> Path:
    found = sorted(folder.glob("lib/python3*/site-packages/pytriton/tritonserver"))
    if not found:
        raise Unavailable(f"nvidia-pytriton brought no server to {folder}")
    return found[0]


def install() -> None:
    """Install the server, and prove that it starts; nothing where it is there already.

    Raises:
        Unavailable: it cannot be had, or does not start.
    """
    folder = environment()
    if (folder / MARK).is_file() and (folder / MARK).read_text() == " ".join(PACKAGES):
        return
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    pip = [str(python), "-m", "pip", "install", *quiet, *PACKAGES]
    for command in ([sys.executable, "-m", "venv", str(folder)], pip):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it says nothing"]
            raise Unavailable(f"{command[2]} {command[3]} ended with {done.returncode}: {lines[-1]}")
    server = _server(folder)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise Unavailable(f"nvidia-pytriton brings no Python backend for Python {version}")
    shutil.copy2(stub, server / "backends" / "python" / stub.name)
    with tempfile.TemporaryDirectory() as work:
        model = Path(work) / "repository" / "echo"
        (model / "1").mkdir(parents=True)
        (model / "1" / "model.py").write_text(ECHO)
        (model / "config.pbtxt").write_text(ECHO_CONFIG)
        with started(model.parent, Path(work) / "log", server):
            pass
    (folder / MARK).write_text(" ".join(PACKAGES))


@contextmanager
def started(repository: Path, log: Path, server: Path | None = None) -> Iterator[Triton]:
    """A server that has loaded every model of a repository, stopped at the end.

    Raises:
        Unavailable: it is not installed, or does not become ready; its log says why.
    """
    running = start(repository, log, installed() if server is None else server)
    try:
        wait(running)
        yield running
    finally:
        running.stop()


def start(repository: Path, log: Path, server: Path, ports: tuple[int, int] | None = None) -> Triton:
    """Start a server, on these ports of HTTP and gRPC or on free ones; it becomes ready later."""
    ports = (free_port(), free_port()) if ports is None else ports
    command: list[str] = [str(server / "bin" / "tritonserver"), "--model-repository", str(repository)]
    command += ["--backend-directory", str(server / "backends"), "--cache-directory", str(server / "caches")]
    for kind, number in zip(("http", "grpc", "metrics"), (*ports, free_port()), strict=True):
        command += [f"--{kind}-address", "127.0.0.1", f"--{kind}-port", str(number)]
    memory = f"infobridge-{uuid.uuid4().hex[:12]}-"
    command += ["--backend-config", f"python,shm-region-prefix-name={memory}"]
    binaries = server.parents[4] / "bin"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    variables |= {"PATH": f"{binaries}{os.pathsep}{variables.get('PATH', '')}", "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, start_new_session=True)
    return Triton(process, *ports, log, memory)


def wait(running: Triton) -> None:
    """Return once every model is loaded.

    Raises:
        Unavailable: the server ended, or took too long.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and running.process.poll() is None:
        try:
            with opener.open(f"http://127.0.0.1:{running.http}/v2/health/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise Unavailable(f"the Triton server did not become ready: {reason(running.log.read_text(errors='replace'))}")


def reason(log: str) -> str:
    """What went wrong by a server's log, in one line: its errors and models that are unavailable, else how it ends."""
    lines = log.splitlines()
    found = [match[match.lastgroup or 0] for line in lines if (match := TOLD.fullmatch(line.strip()))]
    told = [" ".join(text.replace("|", " ").split()) for text in found if CARDLESS not in text]
    return "; ".join(dict.fromkeys(told)) or next((line.strip() for line in reversed(lines) if line.strip()), "no log")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(repository: Path) -> int:
    """Serve until Ctrl-C, SIGTERM or the server's own end; returns 0, or the code that it ended with as a shell has it.

    Raises:
        Unavailable: there is no server, or it does not become ready.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # so that the server ends too
    try:
        with tempfile.NamedTemporaryFile() as log, started(repository, Path(log.name)) as running:
            print(f"HTTP http://127.0.0.1:{running.http}, gRPC grpc://127.0.0.1:{running.grpc}", flush=True)
            code = running.process.wait()
    except KeyboardInterrupt:
        return 0
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """Install or serve; 2 and one line where that cannot be."""
    consequence = "no Triton server here, tests of it are skipped"
    try:
        match arguments:
            case ["install"]:
                install()
            case ["serve", repository]:
                consequence = "nothing is served"
                return serve(Path(repository))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Unavailable as error:
        print(f"{consequence}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
