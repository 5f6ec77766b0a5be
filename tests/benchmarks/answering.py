"""A trivial server whose every answer is scripted, for what counts answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.call import Call, Target

RIGHT = b'{"predictions": [{"label": "circle", "probability": 0.75}, {"label": "star", "probability": 0.25}]}'
OTHER = RIGHT.replace(b"circle", b"square")
NEARLY = RIGHT.replace(b"0.75", b"0.74")
CALL = Call("text/plain", b"a body", "circle", 0.75)


@dataclass(frozen=True)
class Reply:
    """What one request gets."""

    body: bytes = RIGHT
    status: int = 200
    seconds: float = 0.0
    close: bool = False
    vanish: bool = False
    """Whether the connection ends without an answer."""


@dataclass
class Answering:
    """A running server."""

    target: Target
    bodies: list[bytes] = field(default_factory=list)
    """Of the requests so far."""


@contextmanager
def answering(script: Callable[[int], Reply]) -> Iterator[Answering]:
    """A server that answers its n-th request as the script says."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                reply = script(len(found.bodies))
                found.bodies.append(body)
            time.sleep(reply.seconds)
            self.close_connection = reply.close or reply.vanish
            if reply.vanish:
                return
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body)))
            if reply.close:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *arguments: object) -> None:
            del format, arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Answering(Target(server.server_port, "/predict"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
