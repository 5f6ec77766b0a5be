"""Both clients over TLS, where more arrives than answers: session tickets must not be taken for one."""

import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from clients.errors import ConnectionFailed, TooLarge
from tests.clients.conftest import LARGE, Ask
from tests.clients.sockets import CONTENT, Script, body, head, listening, say


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for 127.0.0.1, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command.split(), *names, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


def secure(certificate: Path, script: Script) -> Script:
    """The same script, spoken through TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            script(inner)

    return wrapped


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


def test_a_large_file_arrives_whole(ask: Ask, large: Path, trusted: Path) -> None:
    os.truncate(large, LARGE // 8)
    sizes: list[int] = []

    def answer(connection: socket.socket) -> None:
        headers, size = body(connection)
        sizes.append(size - int(headers["content-length"]))
        say(connection, "200 OK", CONTENT)

    with listening(secure(trusted, answer)) as url:
        assert ask(url.replace("http:", "https:"), video=large).model == "image-text"
    assert sizes == [0]


def test_an_early_refusal_is_understood_while_still_sending(ask: Ask, large: Path, trusted: Path) -> None:
    """OpenSSL reads nothing more once it failed to send, so an answer of that very moment takes another attempt."""

    def refuse(connection: socket.socket) -> None:
        head(connection)
        say(connection, "413 Content Too Large", b'{"detail": "at most 1,000 bytes"}', "Connection: close")

    with listening(secure(trusted, refuse)) as url, pytest.raises(TooLarge, match=r"at most 1,000 bytes"):
        ask(url.replace("http:", "https:"), retries=20, video=large)


def test_a_certificate_that_is_not_trusted_is_a_failed_connection(ask: Ask, certificate: Path) -> None:
    def listen(connection: socket.socket) -> None:
        head(connection)

    with listening(secure(certificate, listen)) as url, pytest.raises(ConnectionFailed, match="does not answer"):
        ask(url.replace("http:", "https:"), text="x")
