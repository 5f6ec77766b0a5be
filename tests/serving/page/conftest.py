"""Real Chromium over the real server; every test also shows that the page asks nobody else and complains of nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving.process import Server

if TYPE_CHECKING:  # the tests themselves skip where there is no Playwright
    from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
"""So that the browser itself looks for nothing on the network."""
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
PATIENCE = 15_000
EXPECTED = "Failed to load resource: the server responded with a status of"
"""What Chromium writes to the console for any refusal, however well the page handles it."""


@dataclass
class Watched:
    """What one page did."""

    home: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: "Page") -> None:
        page.on("request", self._request)
        page.on("pageerror", self._error)
        page.on("console", self._console)

    def leave(self, page: "Page") -> None:
        page.remove_listener("request", self._request)
        page.remove_listener("pageerror", self._error)
        page.remove_listener("console", self._console)

    def _request(self, request: "Request") -> None:
        self.requests.append(request.url)

    def _error(self, error: "Error") -> None:
        self.complaints.append(str(error))

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.complaints.append(message.text)

    def forgive(self, text: str) -> None:
        """Forget what the browser wrote of a connection that the test itself broke."""
        self.complaints = [complaint for complaint in self.complaints if text not in complaint]

    def foreign(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.home + "/", f"blob:{self.home}/"))]

    def asked(self, path: str) -> int:
        return sum(url.partition("?")[0] == self.home + path for url in self.requests)


Open = Callable[..., "Page"]


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """Closed with this package: while Playwright runs, no other test could start an event loop."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is installed")
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*OPTIONS, *root])
        yield started
        started.close()


@pytest.fixture(scope="package")
def desk(browser: "Browser", server: Server) -> Iterator["Page"]:
    """The page that most tests take in turn, since to start one takes longer than most tests."""
    made = browser.new_page(base_url=server.url, **DESK)
    made.set_default_timeout(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def watched(server: Server) -> Iterator[Watched]:
    """What the test's pages did; afterwards, none may have asked anybody else or complained."""
    made = Watched(server.url)
    yield made
    assert made.foreign() == []
    assert made.complaints == []


@pytest.fixture
def page(desk: "Page", watched: Watched) -> Iterator["Page"]:
    """A blank page of a calm visitor at a desk."""
    watched.watch(desk)
    yield desk
    desk.evaluate("sessionStorage.clear()")
    desk.unroute_all(behavior="ignoreErrors")
    desk.goto("about:blank")
    watched.leave(desk)
    desk.set_viewport_size(DESK["viewport"])
    desk.emulate_media(color_scheme="light", reduced_motion="reduce")


@pytest.fixture
def open_page(browser: "Browser", watched: Watched) -> Iterator[Open]:
    """Opens a blank page of its own, with the options of a browser's context."""
    opened: list[Page] = []

    def make(**options: object) -> "Page":
        made = browser.new_page(**{**DESK, "base_url": watched.home, **options})
        opened.append(made)
        made.set_default_timeout(PATIENCE)
        watched.watch(made)
        return made

    yield make
    for made in opened:
        made.close()
