"""The page in Chromium before a server that asks for API keys."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.keys import digest
from tests.serving.page.conftest import Open, Watched
from tests.serving.page.steps import expect, open_model, predict, use_example
from tests.serving.process import Server, environment, serving

KEY = "ib_0123456789"
HIDDEN = "[localStorage.length, document.cookie, location.search]"


@pytest.fixture
def guarded(bundles: dict[str, Path], tmp_path: Path) -> Iterator[Server]:
    """One that answers only with `KEY`."""
    keys = tmp_path / "keys"
    keys.write_text(f"visitor {digest(KEY)}\n")
    variables = environment(tmp_path / "home", bundles=bundles["image-text"], key_file=keys, inference_threads=1)
    with serving(tmp_path, variables) as started:
        started.wait_for("/readyz", 200)
        yield started


def test_a_service_that_wants_a_key_gets_one(open_page: Open, watched: Watched, guarded: Server) -> None:
    watched.home = guarded.url
    page = open_page(base_url=guarded.url)
    page.goto("/#image-text")
    key = page.get_by_label("API key", exact=True)
    expect(key).to_be_focused()
    key.press("Enter")
    expect(key).to_have_accessible_description(re.compile("Type the key first"))
    for wrong, words in (("not this one", "no spaces"), ("wrong", "This key was not accepted")):
        key.fill(wrong)
        key.press("Enter")
        expect(page.locator("#key-error")).to_contain_text(words)
        expect(key).to_have_attribute("aria-invalid", "true")
        expect(key).to_be_focused()
    key.fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_label("Model", exact=True)).to_be_visible()
    expect(key).to_be_hidden()
    use_example(page)
    predict(page)

    page.reload()  # the tab still knows it, and so does the description of the interface
    open_model(page, "image-text")
    assert page.evaluate(HIDDEN) == [0, "", ""]
    page.get_by_role("link", name="Try the API").click()
    expect(page.get_by_text("/v1/predict", exact=True)).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Forget the API key").click()
    expect(key).to_be_visible()
    expect(page.get_by_role("button", name="Forget the API key")).to_be_hidden()
