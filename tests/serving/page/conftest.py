"""Real Chromium over the real server; every test also shows that the page asks nobody else and complains of nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.serving.process import Server

api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
"""So that the browser itself looks for nothing on the network."""
EXPECTED = "Failed to load resource: the server responded with a status of"
"""What Chromium writes to the console for any refusal, however well the page handles it."""


@dataclass
class Watched:
    """What one page did."""

    home: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: "api.Page") -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: "api.ConsoleMessage") -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.complaints.append(message.text)

    def forgive(self, text: str) -> None:
        """Forget what the browser wrote of a connection that the test itself broke."""
        self.complaints = [complaint for complaint in self.complaints if text not in complaint]

    def foreign(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.home + "/", f"blob:{self.home}/"))]

    def asked(self, path: str) -> int:
        return sum(url.partition("?")[0] == self.home + path for url in self.requests)


Open = Callable[..., "api.Page"]


@pytest.fixture(scope="package")
def browser() -> Iterator["api.Browser"]:
    """Closed with this package: while Playwright runs, no other test could start an event loop."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is installed")
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*OPTIONS, *root])
        yield started
        started.close()


@pytest.fixture
def watched(server: Server) -> Watched:
    return Watched(server.url)


@pytest.fixture
def open_page(browser: "api.Browser", watched: Watched) -> Iterator[Open]:
    """Opens a blank page with the options of a browser's context."""
    contexts = []

    def opened(**options: object) -> "api.Page":
        settings: dict[str, object] = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(base_url=watched.home, **{**settings, **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watched.watch(page)
        return page

    api.expect.set_options(timeout=15_000)
    yield opened
    for context in contexts:
        context.close()
    assert watched.foreign() == []
    assert watched.complaints == []


@pytest.fixture
def page(open_page: Open) -> "api.Page":
    return open_page()
