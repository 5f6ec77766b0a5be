"""The page's files over HTTP: what they are, how they are kept, and that they need nothing from elsewhere."""

import re

import httpx
import pytest

from serving.page_files import FILES, FOLDER, POLICY, START

LINKS = re.compile(r'(?:src|href)="([^"#]+)"')
IMPORTS = re.compile(r'^import .* from "\./([^"]+)";', re.MULTILINE)
SVG_SPACE = "http://www.w3.org/2000/svg"
ADDRESSES = ["/", *(f"/page/{name}" for name in FILES if name != START)]


def text(name: str) -> str:
    return FILES[name].content.decode()


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_file_is_served_with_its_type_and_the_policy(client: httpx.Client, address: str) -> None:
    response = client.get(address)
    name = address.removeprefix("/page/") if address != "/" else START
    assert response.status_code == 200
    assert response.content == (FOLDER / name).read_bytes()
    kinds = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    assert response.headers["content-type"] == kinds.get(name.rpartition(".")[2], "text/javascript; charset=utf-8")
    assert response.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY and "frame-ancestors 'none'" in POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"


def test_what_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    tag = client.get("/").headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = client.get("/", headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get("/page/page.js").headers["etag"] != tag


@pytest.mark.parametrize(
    "address",
    ["/page/none.js", "/page/index.html", "/page/", "/page/..%2fapi.py", "/page/../api.py", "/page/page.js/x"],
)
def test_nothing_else_is_served(client: httpx.Client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_everything_the_page_loads_is_there() -> None:
    links = LINKS.findall(text(START))
    found = {link.removeprefix("page/") for link in links if link.startswith("page/")}
    assert {link for link in links if not link.startswith("page/")} == {"v1/docs", "v1/openapi.json"}
    waiting = set(found)
    while waiting:
        name = waiting.pop()
        new = set(IMPORTS.findall(text(name))) - found if name.endswith(".js") else set()
        found |= new
        waiting |= new
    assert found == set(FILES) - {START}, "no file is missing, and none is left over"


def test_no_file_names_another_host_or_holds_inline_code() -> None:
    for name in FILES:
        assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text(name).replace(SVG_SPACE, "")) == [], name
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text(START)) == []
    scripts = "".join(text(name) for name in FILES if name.endswith(".js"))
    assert re.findall(r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function)\b", scripts) == []
