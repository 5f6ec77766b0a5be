"""Servers over real sockets that do what no good server does."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Script = Callable[[socket.socket], None]


@contextmanager
def listening(*scripts: Script) -> Iterator[str]:
    """A server whose first connections follow one script each, the last one for ever; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads: list[threading.Thread] = []

        def follow(script: Script, connection: socket.socket) -> None:
            with connection:
                try:
                    script(connection)
                except OSError:
                    pass  # the client went away

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                script = scripts[min(len(threads), len(scripts) - 1)]
                threads.append(threading.Thread(target=follow, args=(script, connection), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        accepting.join(10)
        for thread in threads:
            thread.join(10)


def head(connection: socket.socket) -> tuple[dict[str, str], bytes]:
    """Headers of the next request, by their names in lower case, and what came of its body with them."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            raise OSError("the client went away")
        received += chunk
    top, _, rest = received.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, rest


def body(connection: socket.socket) -> tuple[dict[str, str], int]:
    """Headers of the next request and the size of its body, which is read and thrown away."""
    headers, rest = head(connection)
    size = len(rest)
    while size < int(headers["content-length"]):
        chunk = connection.recv(1 << 20)
        if not chunk:
            break
        size += len(chunk)
    return headers, size


def say(connection: socket.socket, status: str, content: bytes, *headers: str) -> None:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)
