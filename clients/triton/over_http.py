"""Triton over HTTP: tritonclient writes and reads the bodies, httpx carries them.

tritonclient's own HTTP client is bound to the thread that made it, and fails in others; httpx's serves every thread.
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import tritonclient.http as library

from bundle.modalities import Array
from clients.errors import UnexpectedAnswer
from clients.triton.refusals import closed, from_http, from_httpx
from clients.triton.request import Address, Request

HEADER = "Inference-Header-Content-Length"
CONNECT_SECONDS = 10.0
Fields = dict[str, Any]


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _infer(request: Request) -> Fields:
    """The arguments of httpx for an inference."""
    body, length = library.InferenceServerClient.generate_request_body(
        request.tensors(library),
        outputs=request.wanted(library),
        request_id=request.id,
        timeout=request.microseconds,
    )
    headers = {"Content-Type": "application/octet-stream"} | ({} if length is None else {HEADER: str(length)})
    return {
        "method": "POST",
        "url": f"{_path(request.model)}/versions/{request.version}/infer",
        "content": body,
        "headers": headers,
        "timeout": waits(request.timeout),
    }


def _outputs(response: httpx.Response, request: Request) -> dict[str, Array]:
    length = response.headers.get(HEADER)
    try:
        found = library.InferenceServerClient.parse_response_body(
            response.content, header_length=None if length is None else int(length)
        )
        arrays = {name: found.as_numpy(name) for name in request.outputs}
    except Exception as error:  # whatever its parser raises for what is no answer
        raise UnexpectedAnswer(f"expected the outputs of a model, received something else ({error})") from None
    return {name: array for name, array in arrays.items() if array is not None}


def _config(response: httpx.Response) -> Mapping[str, Any]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UnexpectedAnswer("expected a model's configuration in JSON, received something else")
    return content


def waits(timeout: float) -> httpx.Timeout:
    """How long each step may take; a thread that waits for a free connection waits as long as that takes."""
    return httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=None)


def _whole(begun: httpx.Response, content: bytes | bytearray) -> httpx.Response:
    """The response with its content, decoded by its own headers."""
    return httpx.Response(begun.status_code, headers=begun.headers, content=bytes(content), request=begun.request)


def _options(address: Address, headers: Mapping[str, str], connections: int) -> Fields:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=5.0)
    return {"base_url": address.url.rstrip("/"), "headers": dict(headers), "limits": limits}


class HttpWire:
    """For threads."""

    def __init__(self, address: Address, timeout: float, headers: Mapping[str, str], connections: int) -> None:
        self._address, self._timeout = address, timeout
        self._http = httpx.Client(**_options(address, headers, connections))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def config(self, model: str) -> Mapping[str, Any]:
        """A model's configuration."""
        return _config(self._send(method="GET", url=f"{_path(model)}/config"))

    def infer(self, request: Request) -> dict[str, Array]:
        """The outputs by name."""
        return _outputs(self._send(**_infer(request)), request)

    def register(self, name: str, key: str, size: int) -> None:
        """Tell the server of a region of shared memory."""
        content = {"key": key, "offset": 0, "byte_size": size}
        self._send(method="POST", url=f"/v2/systemsharedmemory/region/{name}/register", json=content)

    def unregister(self, name: str) -> None:
        """Let the server forget it."""
        self._send(method="POST", url=f"/v2/systemsharedmemory/region/{name}/unregister")

    def _send(self, **fields: Any) -> httpx.Response:
        if self._http.is_closed:
            raise closed(self._address.url)
        try:
            with self._http.stream(**{"timeout": waits(self._timeout)} | fields) as response:
                end = time.monotonic() + self._timeout
                content = bytearray()
                for part in response.iter_raw():
                    content += part
                    if time.monotonic() > end:
                        raise httpx.ReadTimeout("the answer has begun")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise from_httpx(error, self._address.url, self._timeout) from error
        response = _whole(response, content)
        if not response.is_success:
            raise from_http(response)
        return response


class AsyncHttpWire:
    """For tasks."""

    def __init__(self, address: Address, timeout: float, headers: Mapping[str, str], connections: int) -> None:
        self._address, self._timeout = address, timeout
        self._http = httpx.AsyncClient(**_options(address, headers, connections))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def config(self, model: str) -> Mapping[str, Any]:
        """A model's configuration."""
        return _config(await self._send(method="GET", url=f"{_path(model)}/config"))

    async def infer(self, request: Request) -> dict[str, Array]:
        """The outputs by name."""
        return _outputs(await self._send(**_infer(request)), request)

    async def _send(self, **fields: Any) -> httpx.Response:
        if self._http.is_closed:
            raise closed(self._address.url)
        try:
            async with self._http.stream(**{"timeout": waits(self._timeout)} | fields) as response:
                end = time.monotonic() + self._timeout
                content = bytearray()
                async for part in response.aiter_raw():
                    content += part
                    if time.monotonic() > end:
                        raise httpx.ReadTimeout("the answer has begun")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise from_httpx(error, self._address.url, self._timeout) from error
        response = _whole(response, content)
        if not response.is_success:
            raise from_http(response)
        return response
