"""Every way to ask wrongly, over a real socket: one shape of error, and a server that stays well."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.serving.conftest import BODY_LIMIT, PART_LIMIT, TWIN
from tests.serving.process import Server
from tests.serving.samples import Part, payloads, upload

IMAGE = payloads(("image",))["image"]
CLIP = payloads(("audio", "video"))
TILE = payloads(("pathology",))["pathology"]
GENES = b'{"gene_A": 1}'


def assert_problem(response: httpx.Response, status: int, kind: str, **known: Any) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    assert content["type"] == f"urn:infobridge:problem:{kind}"
    assert content["status"] == status
    assert content["title"] and content["detail"]
    assert {name: content.get(name) for name in known} == known
    return content


INVALID: dict[str, tuple[dict[str, Part], int, str, str]] = {
    "empty image": ({"image": ("a.png", b""), "text": (None, "red")}, 422, "invalid-input", "image"),
    "truncated image": ({"image": ("a.png", IMAGE[:200]), "text": (None, "red")}, 422, "invalid-input", "image"),
    "foreign image": ({"image": ("a.png", b"x" * 99), "text": (None, "red")}, 415, "unsupported-media", "image"),
    "text in an image field": ({"image": (None, "a house"), "text": (None, "red")}, 422, "invalid-input", "image"),
    "address in an image field": (
        {"image": (None, "http://127.0.0.1/secret"), "text": (None, "red")}, 422, "invalid-input", "image",
    ),
    "empty text": ({"image": ("a.png", IMAGE), "text": (None, "  ")}, 422, "invalid-input", "text"),
    "text not in UTF-8": ({"image": ("a.png", IMAGE), "text": (None, b"\xff\xfe")}, 422, "invalid-input", "text"),
    "truncated clip": (
        {"audio": ("a.wav", CLIP["audio"]), "video": ("v.mp4", CLIP["video"][:-400])}, 422, "invalid-input", "video",
    ),
    "truncated sound": (
        {"audio": ("a.wav", CLIP["audio"][:-400]), "video": ("v.mp4", CLIP["video"])}, 422, "invalid-input", "audio",
    ),
    "picture in a sound field": (
        {"audio": ("a.wav", IMAGE), "video": ("v.mp4", CLIP["video"])}, 415, "unsupported-media", "audio",
    ),
    "genomic vector of another width": (
        {"pathology": ("t.png", TILE), "genomics": (None, "[1, 2, 3]"), "model": (None, TWIN)},
        422, "invalid-input", "genomics",
    ),
    "unknown gene": (
        {"pathology": ("t.png", TILE), "genomics": (None, '{"gene_X": 1}'), "model": (None, TWIN)},
        422, "invalid-input", "genomics",
    ),
    "NaN in genomics": (
        {"pathology": ("t.png", TILE), "genomics": (None, '{"gene_A": NaN}'), "model": (None, TWIN)},
        422, "invalid-input", "genomics",
    ),
    "missing field of a named model that is required": (
        {"image": ("a.png", IMAGE), "model": (None, "image-text"), "require_all": (None, "true")},
        422, "invalid-input", "text",
    ),
    "missing field that only one pairing has and that is required": (
        {"image": ("a.png", IMAGE), "require_all": (None, "1")}, 422, "invalid-input", "text",
    ),
    "neither yes nor no": (
        {"image": ("a.png", IMAGE), "require_all": (None, "True")}, 422, "invalid-input", "require_all",
    ),
    "no number": ({"image": ("a.png", IMAGE), "abstain_below": (None, "half")}, 422, "invalid-input", "abstain_below"),
    "no probability": (
        {"image": ("a.png", IMAGE), "abstain_below": (None, "1.01")}, 422, "invalid-input", "abstain_below",
    ),
    "unknown field of a named model": (
        {"image": ("a.png", IMAGE), "txet": (None, "red"), "model": (None, "image-text")}, 422, "invalid-input", "txet",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_invalid_parts(client: httpx.Client, case: str) -> None:
    parts, status, kind, field = INVALID[case]
    content = assert_problem(client.post("/v1/predict", files=parts), status, kind, field=field)
    assert content["expected"] and content["received"]


def test_an_unknown_field_lists_what_is_possible(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files={"image": ("a.png", IMAGE), "caption": (None, "red")})
    content = assert_problem(response, 422, "unknown-pairing", field="caption")
    assert content["possible"] == ["audio + video", "image + text", "pathology + genomics", "text + genomics"]


def test_a_pairing_that_no_model_takes(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files=upload({"image": IMAGE, "audio": CLIP["audio"]}))
    content = assert_problem(response, 422, "unknown-pairing", field=None)
    assert "image + text" in content["possible"]
    assert_problem(client.post("/v1/predict", json={}), 422, "unknown-pairing", field=None)


def test_several_models_take_a_part_of_their_fields(client: httpx.Client) -> None:
    """Which one is meant is not guessed: the answers would differ."""
    response = client.post("/v1/predict", files={"text": (None, "red")})
    assert_problem(response, 422, "ambiguous-model", field="model", possible=["image-text", "fragile"])
    response = client.post("/v1/predict", json={"text": "red", "require_all": True})
    assert_problem(response, 422, "unknown-pairing", field=None)
    assert_problem(client.post("/v1/predict", json={"model": "fragile"}), 422, "invalid-input", field=None)


def test_several_models_take_the_same_fields(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files={"pathology": ("t.png", TILE), "genomics": (None, GENES)})
    assert_problem(response, 422, "ambiguous-model", field="model", possible=["pathology-genomics", TWIN])


def test_an_unknown_model(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files={**upload({"image": IMAGE}), "model": (None, "best")})
    content = assert_problem(response, 404, "unknown-model", field="model")
    assert "image-text" in content["possible"] and "best" not in response.text


def test_a_repeated_field(client: httpx.Client) -> None:
    parts = [("image", ("a.png", IMAGE)), ("image", ("b.png", IMAGE)), ("text", (None, b"red"))]
    assert_problem(client.post("/v1/predict", files=parts), 422, "invalid-input", field="image")
    body = b'{"text": "a", "text": "b", "genomics": [1, 2, 3, 4]}'
    response = client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    assert_problem(response, 422, "invalid-input", field="text")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"image": "aGVsbG8=", "text": "red"}, "image"),
        ({"text": 123, "genomics": [1, 2, 3, 4]}, "text"),
        ({"text": None, "genomics": [1, 2, 3, 4]}, "text"),
        ({"text": ["red"], "genomics": [1, 2, 3, 4]}, "text"),
        ({"text": "red", "genomics": 5}, "genomics"),
        ({"text": "red", "genomics": [1, 2, 3, 10**400]}, "genomics"),
        ({"text": "red", "genomics": {"gene_A": [1]}}, "genomics"),
        ({"text": "red", "genomics": {"gene_A": True}}, "genomics"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "model": 7}, "model"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "require_all": "true"}, "require_all"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "require_all": 1}, "require_all"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "require_all": None}, "require_all"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "abstain_below": "0.5"}, "abstain_below"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "abstain_below": True}, "abstain_below"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "abstain_below": -0.1}, "abstain_below"),
        ({"text": "red", "genomics": [1, 2, 3, 4], "abstain_below": 10**400}, "abstain_below"),
    ],
)
def test_json_values_of_another_type(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    content = assert_problem(client.post("/v1/predict", json=body), 422, "invalid-input", field=field)
    if field == "image":
        assert "uploaded file" in content["expected"]


def test_json_constants_that_are_not_json(client: httpx.Client) -> None:
    for constant in ("NaN", "Infinity", "-Infinity"):
        body = f'{{"text": "red", "genomics": [1, 2, 3, {constant}]}}'
        response = client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
        assert_problem(response, 422, "invalid-input")


BOUNDARY = "multipart/form-data; boundary=x"
OPENED = b'--x\r\ncontent-disposition: form-data; name="text"\r\n\r\nred'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", OPENED + b"\r\n--x--\r\n"),
        (BOUNDARY, b""),
        (BOUNDARY, b"nothing of the kind"),
        (BOUNDARY, OPENED),
        (BOUNDARY, OPENED + b"\r\n--x"),
        (BOUNDARY, b"--x\r\ncontent-disposition: form-data\r\n\r\nred\r\n--x--\r\n"),
        (BOUNDARY, b"--x\r\nbad header\r\n\r\nred\r\n--x--\r\n"),
        (BOUNDARY, (OPENED + b"\r\n") * 17 + b"--x--\r\n"),
        (f"multipart/form-data; boundary={'x' * 300}", OPENED),
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b'["text"]'),
        ("application/json", b'{"text": "\xff"}'),
        ("application/json", b'{"text": "\\ud800"}'),
        ("application/json", b'{"text": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"),
    ],
)
def test_malformed_bodies(client: httpx.Client, content_type: str, body: bytes) -> None:
    response = client.post("/v1/predict", content=body, headers={"content-type": content_type})
    assert_problem(response, 400, "malformed-body")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_another_content_type(client: httpx.Client, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = client.post("/v1/predict", content=b"text=red", headers=headers)
    assert_problem(response, 415, "unsupported-content-type")


def test_paths_and_methods(client: httpx.Client) -> None:
    for path in ("/nowhere", "/v1/nowhere", "/v1/predict/", "/v1/"):
        assert_problem(client.get(path), 404, "unknown-path")
    for method, path, allowed in (
        ("GET", "/v1/predict", "POST"),
        ("POST", "/v1/models", "GET"),
        ("PUT", "/livez", "GET"),
    ):
        response = client.request(method, path)
        assert_problem(response, 405, "wrong-method")
        assert allowed in response.headers["allow"]


def test_a_part_over_its_limit(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files={**upload({"image": IMAGE}), "text": (None, "x" * (PART_LIMIT + 1))})
    assert_problem(response, 413, "too-large", field="text")
    response = client.post("/v1/predict", json={"text": "x" * PART_LIMIT, "genomics": [1, 2, 3, 4]})
    assert_problem(response, 413, "too-large")


def test_a_body_over_the_limit_by_its_own_account(client: httpx.Client, server: Server) -> None:
    files = upload({"image": b"x" * (BODY_LIMIT + 1), "text": b"red"})
    assert_problem(client.post("/v1/predict", files=files), 413, "too-large")
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: {BOUNDARY}\r\nContent-Length: {10**12}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 413"  # before a byte of the body


def test_a_body_that_grows_over_the_limit(client: httpx.Client) -> None:
    def grow() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(20):
            yield b"x" * (BODY_LIMIT // 10)

    for path in ("/v1/predict", "/v1/nowhere"):
        response = client.post(path, content=grow(), headers={"content-type": BOUNDARY})
        assert response.status_code == (413 if path == "/v1/predict" else 404)
        assert response.headers["content-type"] == "application/problem+json"


def test_a_client_that_goes_away_leaves_no_trace(server: Server, client: httpx.Client) -> None:
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: {BOUNDARY}\r\nContent-Length: 999\r\n\r\n"
        connection.sendall(head.encode() + OPENED)
    server.wait_for_log('"status": 499')
    assert "Traceback" not in server.log()


def test_no_value_of_an_input_reaches_the_log(server: Server, client: httpx.Client) -> None:
    secret = "patient4711"
    client.post("/v1/predict", json={"text": secret, "genomics": secret})
    client.post("/v1/predict", files={"image": (None, secret), "text": (secret, secret)})
    client.post("/v1/predict", content=f'{{"text": {secret}', headers={"content-type": "application/json"})
    client.post("/v1/predict", content=f"--{secret}", headers={"content-type": BOUNDARY})
    headers = {"X-Request-ID": "the-last-of-secrets"}
    response = client.post("/v1/predict", json={"text": "red", "genomics": {"gene_A": secret}}, headers=headers)
    assert secret not in json.dumps(response.json())
    server.wait_for_log("the-last-of-secrets")
    assert secret not in server.log()
