"""How a client reaches a server: its address, its pool of connections, and how a call becomes a request of httpx."""

import urllib.request
from typing import Any

import httpcore
import httpx

from clients.body import Body
from clients.connection import AsyncWatchedBackend, WatchedBackend
from clients.conversation import Call, Manners
from clients.errors import InvalidCall
from clients.retrying import Retries

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 5.0
"""After which a connection is not used again; servers close theirs about as soon."""


def manners(url: str, timeout: float, retries: int | Retries) -> Manners:
    """How the server at `url` is asked.

    Raises:
        InvalidCall: `url` is no HTTP address, or a number is out of range.
    """
    if not timeout > 0:
        raise InvalidCall(f"timeout: expected seconds over 0, found {timeout!r}")
    return Manners(_checked_address(url), timeout, retries if isinstance(retries, Retries) else Retries(number=retries))


def options(asked: Manners, key: str | None, connections: int) -> dict[str, Any]:
    """What `httpx.Client` and `httpx.AsyncClient` are made with, but for their transport.

    Raises:
        InvalidCall: no connection is allowed, or the key cannot be sent in a header; the message does not repeat it.
    """
    headers = {"Accept": "application/json"}
    if key is not None:
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidCall("key: expected printable ASCII characters without spaces, found others or none")
        headers["Authorization"] = f"Bearer {key}"
    waits = httpx.Timeout(asked.timeout, connect=min(asked.timeout, CONNECT_SECONDS), pool=None)
    if connections < 1:
        raise InvalidCall(f"connections: expected 1 or more, found {connections!r}")
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_SECONDS
    )
    return {"timeout": waits, "headers": headers, "limits": limits}


def request(http: httpx.Client | httpx.AsyncClient, asked: Manners, call: Call) -> httpx.Request:
    """The request of one attempt, its length stated, its files not read yet."""
    files: Any = call.parts or None
    made = http.build_request(call.method, asked.address + call.path, files=files)
    if call.parts:
        assert isinstance(made.stream, httpx.SyncByteStream)
        made.stream = Body(made.stream, from_disk=bool(call.uploads))
    return made


def transport(asked: Manners, allowed: httpx.Limits) -> httpx.HTTPTransport | None:
    """The network; None where the environment names a proxy for it, through which httpx finds its own way."""
    if not _direct(asked.address):
        return None
    made = httpx.HTTPTransport()
    made._pool = httpcore.ConnectionPool(**_pool(allowed), network_backend=WatchedBackend())
    return made


def async_transport(asked: Manners, allowed: httpx.Limits) -> httpx.AsyncHTTPTransport | None:
    """The same for an asynchronous client."""
    if not _direct(asked.address):
        return None
    made = httpx.AsyncHTTPTransport()
    made._pool = httpcore.AsyncConnectionPool(**_pool(allowed), network_backend=AsyncWatchedBackend())
    return made


def _pool(allowed: httpx.Limits) -> dict[str, Any]:
    """httpx lets no backend of connections be chosen, so its pool is replaced by an equal one of ours."""
    return {
        "ssl_context": httpx.create_ssl_context(),
        "max_connections": allowed.max_connections,
        "max_keepalive_connections": allowed.max_keepalive_connections,
        "keepalive_expiry": allowed.keepalive_expiry,
    }


def _direct(address: str) -> bool:
    parsed = httpx.URL(address)
    proxies = urllib.request.getproxies()
    return not (proxies.get(parsed.scheme) or proxies.get("all")) or bool(urllib.request.proxy_bypass(parsed.host))


def _checked_address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidCall(f"url: expected an address such as http://localhost:3000, found {url!r} ({error})") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidCall(f"url: expected an address such as http://localhost:3000, found {url!r}")
    return str(parsed).rstrip("/")
