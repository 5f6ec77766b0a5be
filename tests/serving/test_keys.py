"""API keys: the file, the program that makes them, and a server that asks for them."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving import keys
from serving.keys import Key, KeyFileError, Keys, add, digest, read
from tests.bundles import build_bundle
from tests.serving.process import ROOT, Server, environment, serving

BODY = {"text": "red", "genomics": [1, 2, 3, 4]}


def test_a_file_of_keys_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# ours\nalice {digest('a')}\n\nbob  {digest('b')}  admin # for reloads\n")
    assert read(path) == (Key("alice", digest("a"), False), Key("bob", digest("b"), True))


@pytest.mark.parametrize("line", ["alice", "alice secret", f"alice {digest('a')} root", f"alice {digest('a')[:-1]}"])
def test_a_line_that_is_no_key_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{line}\n")
    with pytest.raises(KeyFileError, match="line 2: expected a name, a SHA-256"):
        read(path)


def test_a_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        Keys(tmp_path / "none")


def test_a_new_key_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first, second = add(path, "alice", admin=False), add(path, "bob", admin=True)
    assert first != second and len(first) > 40
    assert first not in path.read_text() and second not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = Keys(path)
    assert found.find(first) == Key("alice", digest(first), False)
    assert found.find(second) == Key("bob", digest(second), True)
    assert found.find("another") is None


@pytest.mark.parametrize("name", ["alice", "two words", "", "#x"])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "keys"
    add(path, "alice", admin=False)
    before = path.read_text()
    with pytest.raises(KeyFileError, match="name: expected"):
        add(path, name, admin=False)
    assert path.read_text() == before


def test_keys_change_with_their_file_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = add(path, "alice", admin=False)
    found = Keys(path)
    second = add(path, "bob", admin=False)
    assert found.find(second) is not None
    path.write_text("nonsense\n")
    assert found.find(first) is not None
    path.unlink()
    assert found.find(first) is not None
    path.write_text(f"bob {digest(second)}\n")
    assert found.find(first) is None and found.find(second) is not None


def test_the_program_makes_a_key_or_says_in_one_line_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys"
    assert keys.main(["add", str(path), "alice", "--admin"]) == 0
    key = capsys.readouterr().out.strip()
    assert Keys(path).find(key) == Key("alice", digest(key), True)
    assert keys.main(["add", str(path), "alice"]) == 2
    assert capsys.readouterr().err.startswith("error: name: expected a new one")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path, str, str]]:
    """A server that asks for keys: the key file, a plain key, and an administrator's."""
    folder = tmp_path_factory.mktemp("guarded")
    path = folder / "keys"
    plain, admin = add(path, "alice", admin=False), add(path, "root", admin=True)
    bundle = build_bundle(folder / "tiny", ("text", "genomics"))
    variables = environment(
        folder / "home", bundles=bundle, key_file=path, cors_origins="https://lab.example", body_limit=10_000
    )
    with serving(folder, variables) as server:
        server.wait_for("/readyz", 200)
        yield server, path, plain, admin


@pytest.fixture
def client(guarded: tuple[Server, Path, str, str]) -> Iterator[httpx.Client]:
    with guarded[0].client() as opened:
        yield opened


def test_without_a_key_only_probes_and_the_page_are_open(client: httpx.Client) -> None:
    for path in ("/", "/page/page.js", "/livez", "/readyz", "/v1/docs", "/v1/docs/start.js"):
        assert client.get(path).status_code == 200, path
    requests = [("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/v1/openapi.json"), ("POST", "/v1/models/reload")]
    for method, path in [*requests, ("POST", "/v1/predict"), ("POST", "/v1/predict/batch"), ("GET", "/nowhere")]:
        response = client.request(method, path, json=BODY)
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["type"] == "urn:infobridge:problem:unauthorized"
        assert response.json()["received"] == "no key"


def test_either_header_carries_a_key(client: httpx.Client, guarded: tuple[Server, Path, str, str]) -> None:
    for headers in ({"Authorization": f"Bearer {guarded[2]}"}, {"X-API-Key": guarded[2]}):
        assert client.post("/v1/predict", json=BODY, headers=headers).status_code == 200
    for headers in (
        {"Authorization": guarded[2]},
        {"X-API-Key": guarded[2] + "x"},
        {"Authorization": "Bearer é".encode().decode("latin-1")},
    ):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = client.post("/v1/predict", json=BODY, headers=encoded)
        assert response.status_code == 401


def test_a_wrong_key_is_refused_before_the_body_is_read(client: httpx.Client) -> None:
    assert client.post("/v1/predict", content=b"x" * 20_000).status_code == 401


def test_a_key_added_or_removed_counts_at_once(client: httpx.Client, guarded: tuple[Server, Path, str, str]) -> None:
    path = guarded[1]
    key = add(path, "carol", admin=False)
    assert client.get("/v1/models", headers={"X-API-Key": key}).status_code == 200
    kept = [line for line in path.read_text().splitlines() if not line.startswith("carol")]
    path.write_text("\n".join(kept) + "\n")
    assert client.get("/v1/models", headers={"X-API-Key": key}).status_code == 401


def test_only_an_administrator_may_reload(client: httpx.Client, guarded: tuple[Server, Path, str, str]) -> None:
    response = client.post("/v1/models/reload", headers={"X-API-Key": guarded[2]})
    assert response.status_code == 403
    assert response.json()["type"] == "urn:infobridge:problem:forbidden"
    assert client.post("/v1/models/reload", headers={"X-API-Key": guarded[3]}).status_code == 200


def test_no_key_reaches_the_log(client: httpx.Client, guarded: tuple[Server, Path, str, str]) -> None:
    client.get("/v1/models", headers={"X-API-Key": guarded[2]})
    client.get("/v1/models", headers={"X-API-Key": "wrong-key-4711", "X-Request-ID": "the-last-one"})
    guarded[0].wait_for_log("the-last-one")
    log = guarded[0].log()
    assert guarded[2] not in log and "4711" not in log and '"status": 401' in log


def test_only_the_origins_allowed_may_read_answers(
    client: httpx.Client, guarded: tuple[Server, Path, str, str]
) -> None:
    for origin, allowed in (("https://lab.example", "https://lab.example"), ("https://evil.example", None)):
        response = client.get("/v1/models", headers={"X-API-Key": guarded[2], "Origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed
    asked = {"Origin": "https://lab.example", "Access-Control-Request-Method": "POST"}
    response = client.options("/v1/predict", headers={**asked, "Access-Control-Request-Headers": "x-api-key"})
    assert response.status_code == 200


def test_a_key_file_that_cannot_be_used_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("nonsense\n")
    variables = environment(tmp_path / "home", bundles=tmp_path, key_file=tmp_path / "keys")
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:InfoBridge", "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "line 1: expected a name" in done.stderr + done.stdout
    assert os.fspath(tmp_path / "keys") in done.stderr + done.stdout
