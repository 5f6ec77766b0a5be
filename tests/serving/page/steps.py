"""What a visitor of the page does, and what the page then shows."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.process import Server
from tests.serving.samples import Part

for needed in ("playwright.sync_api", "axe_playwright_python.sync_playwright"):
    pytest.importorskip(needed, reason="needs Playwright and axe: pip install -e '.[dev]'")

from axe_playwright_python.sync_playwright import Axe as Axe  # noqa: E402
from playwright.sync_api import FilePayload, Locator  # noqa: E402
from playwright.sync_api import Page as Page  # noqa: E402
from playwright.sync_api import Route as Route  # noqa: E402
from playwright.sync_api import expect as expect  # noqa: E402

SPACE = "\u202f"
DROP = """([files]) => {
    const transfer = new DataTransfer();
    for (const [name, type, content] of files) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    return transfer;
}"""


def open_model(page: Page, name: str) -> None:
    page.goto(f"/#{name}")
    expect(page.get_by_label("Model", exact=True)).to_have_value(name)


def use_example(page: Page, index: int = 0) -> None:
    page.get_by_role("button", name="example").click()
    expect(page.get_by_role("status").filter(has_text=f"Example {index + 1} of")).to_be_visible()


def predict(page: Page) -> dict[str, Any]:
    """Press the button, wait until the answer is shown, and return what the service said."""
    with page.expect_response("**/v1/predict") as caught:
        page.get_by_role("button", name="Predict").click()
    answer: dict[str, Any] = caught.value.json()
    assert caught.value.status == 200, answer
    expect(page.locator(".verdict .label")).to_have_text(answer["predictions"][0]["label"])
    expect(page.get_by_role("status").filter(has_text="Predicted:")).to_be_visible()
    return answer


def field(page: Page, name: str) -> Locator:
    return page.locator(f"[data-input={name}].field")


def choose(page: Page, name: str, file: Path | FilePayload) -> None:
    field(page, name).locator("input[type=file]").set_input_files(file)


def drop(page: Page, target: Locator, *files: tuple[str, str, bytes]) -> None:
    """Let go files of name, type and content over an element."""
    content = [(name, kind, base64.b64encode(data).decode()) for name, kind, data in files]
    transfer = page.evaluate_handle(DROP, [content])
    for kind in ("dragenter", "dragover", "drop"):
        target.dispatch_event(kind, {"dataTransfer": transfer})


def percent(probability: float) -> str:
    """As the page writes it."""
    if 0 < probability < 0.0005:
        return f"<{SPACE}0.1{SPACE}%"
    if 0.9995 <= probability < 1:
        return f">{SPACE}99.9{SPACE}%"
    return f"{probability * 100:.1f}{SPACE}%"


@dataclass(frozen=True)
class Bar:
    """One bar as it is drawn."""

    name: str
    number: str
    length: float
    """Share of its track."""
    note: str
    start: float = 0.0
    """Where on its track it begins."""


def bars(page: Page, section: str) -> list[Bar]:
    """The visible bars of one section of the answer: `alone` or `classes`."""
    found = []
    for row in page.locator(f"#result .{section} li:visible").all():
        fill, track = row.locator(".fill").bounding_box(), row.locator(".track").bounding_box()
        assert fill is not None and track is not None
        note = row.locator(".note")
        said = note.inner_text() if note.count() else ""
        length = fill["width"] / track["width"]
        found.append(Bar(row.locator(".name").inner_text(), row.locator(".number").inner_text(), length, said))
    return found


def contributions(page: Page) -> list[Bar]:
    """The bars that add up to the answer; what was not given has none, of no length."""
    found = []
    for row in page.locator("#result .contributions li").all():
        track, fill = row.locator(".track").bounding_box(), row.locator(".fill").bounding_box()
        assert track is not None
        start, length = (fill["x"] - track["x"], fill["width"]) if fill else (0.0, 0.0)
        name, number = row.locator(".name").inner_text(), row.locator(".number").inner_text()
        found.append(Bar(name, number, length / track["width"], "", start / track["width"]))
    return found


def points(contribution: float) -> str:
    """As the page writes it."""
    return f"{'−' if contribution < 0 else '+'}{abs(contribution) * 100:.1f}{SPACE}points"


def example(server: Server, model: str, inputs: tuple[str, ...], index: int) -> dict[str, Part]:
    """An example as an upload, from the service itself."""
    with server.client() as client:
        paths = {name: f"/v1/models/{model}/examples/{index}/{name}" for name in inputs}
        return {name: (f"{name}.bin", client.get(path).raise_for_status().content) for name, path in paths.items()}


def ask(server: Server, model: str, parts: dict[str, Part]) -> dict[str, Any]:
    """The service's answer, without a browser."""
    with server.client() as client:
        response: httpx.Response = client.post("/v1/predict", files=parts, data={"model": model})
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer


def refuse(route: Route, status: int, kind: str, detail: str, **headers: str) -> None:
    """Answer a request of the page in the service's place."""
    title = kind.replace("-", " ").capitalize()
    content = {"type": f"urn:infobridge:problem:{kind}", "title": title, "status": status, "detail": detail}
    route.fulfill(status=status, headers=headers, content_type="application/problem+json", body=json.dumps(content))
