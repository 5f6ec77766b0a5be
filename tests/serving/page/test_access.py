"""The page in Chromium: for those who use a keyboard, a screen reader, a phone, or little motion."""

from collections.abc import Callable

import pytest

from tests.bundles import PAIRINGS
from tests.serving.page.conftest import Open
from tests.serving.page.steps import Axe, Page, expect, field, open_model, predict, refuse, use_example

OUTLINE = """
getComputedStyle(document.activeElement.matches(".unseen") ? document.activeElement.nextElementSibling
    : document.activeElement).outlineStyle
"""
PHONE = {"width": 360, "height": 740}


def empty(page: Page) -> None:
    open_model(page, "audio-video")


def answered(page: Page) -> None:
    open_model(page, "audio-video")
    use_example(page)
    predict(page)
    page.get_by_text("The answer as JSON").click()


def all_modalities_seen(page: Page) -> None:
    open_model(page, "pathology-genomics")
    use_example(page)
    predict(page)


def unfilled(page: Page) -> None:
    open_model(page, "image-text")
    page.get_by_role("button", name="Predict").click()
    expect(field(page, "text").locator(".error")).to_be_visible()


def every_flag(page: Page) -> None:
    """Unusual, in disagreement, and less probable than asked for."""
    open_model(page, "fragile")
    page.get_by_text("Options").click()
    page.get_by_label("Abstain below").fill("100")
    page.get_by_role("textbox", name="Text").fill("red")
    page.get_by_role("textbox", name="Genomics").fill('{"gene_A": -400}')
    predict(page)
    expect(page.locator(".flag")).to_have_count(3)


def one_missing(page: Page) -> None:
    open_model(page, "fragile")
    page.get_by_role("textbox", name="Text").fill("red")
    predict(page)
    expect(page.locator(".flag")).to_have_count(1)


def wrong_option(page: Page) -> None:
    open_model(page, "image-text")
    use_example(page)
    page.get_by_text("Options").click()
    page.get_by_label("Abstain below").fill("101")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#abstain-error")).to_be_visible()


def busy(page: Page) -> None:
    page.route("**/v1/predict", lambda route: refuse(route, 503, "overloaded", "busy", **{"Retry-After": "60"}))
    open_model(page, "image-text")
    use_example(page)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def running(page: Page) -> None:
    page.route("**/v1/predict", lambda route: None)
    open_model(page, "image-text")
    use_example(page)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()


def locked(page: Page) -> None:
    page.route("**/v1/models", lambda route: refuse(route, 401, "unauthorized", "a key is needed"))
    page.goto("/")
    page.get_by_label("API key", exact=True).press("Enter")


def unready(page: Page) -> None:
    page.route("**/v1/models", lambda route: refuse(route, 503, "not-ready", "loading", **{"Retry-After": "60"}))
    page.goto("/")
    expect(page.get_by_role("status").filter(has_text="not ready")).to_be_visible()


@pytest.mark.parametrize(
    "state",
    [
        *(empty, answered, all_modalities_seen, unfilled, every_flag, one_missing, wrong_option),
        *(busy, running, locked, unready),
    ],
    ids=lambda state: state.__name__,
)
def test_axe_finds_nothing_in_light_and_in_dark(page: Page, state: Callable[[Page], None]) -> None:
    state(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"


def test_axe_would_find_something(page: Page) -> None:
    empty(page)
    page.locator("#about").evaluate("(place) => { place.style.color = '#ddd'; }")
    assert Axe().run(page).violations_count == 1


@pytest.mark.parametrize("pairing", PAIRINGS, ids="-".join)
def test_nothing_is_wider_than_the_screen(page: Page, pairing: tuple[str, ...]) -> None:
    open_model(page, "-".join(pairing))
    use_example(page)
    page.get_by_text("Options").click()
    page.get_by_label("Abstain below").fill("100")
    predict(page)
    page.get_by_text("The answer as JSON").click()
    for width in (320, 360, 700, 1000, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_answer_comes_into_view(open_page: Open) -> None:
    page = open_page(viewport=PHONE)
    open_model(page, "image-text")
    use_example(page)
    expect(page.get_by_role("heading", name="The answer")).not_to_be_in_viewport()
    predict(page)
    expect(page.locator(".verdict")).to_be_in_viewport()


def test_everything_works_from_the_keyboard_in_the_order_one_reads(page: Page) -> None:
    open_model(page, "image-text")
    reached = []

    def tab() -> None:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        assert page.evaluate(OUTLINE) == "solid", reached

    for _ in range(10):
        tab()
    assert reached == [
        *("Skip to the sample", "Try the API", "OpenAPI", "model", "example"),
        *("file-image", "text-text", "file-text", "Options", "predict"),
    ]
    for _ in range(5):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Example 1 of")).to_be_visible()
    while page.evaluate("document.activeElement.id") != "predict":
        tab()
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.get_by_role("button", name="Predict")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_text("The answer as JSON")).to_be_focused()


def test_the_skip_link_leads_to_the_sample(page: Page) -> None:
    open_model(page, "image-text")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#sample")).to_be_focused()


def test_controls_have_names_and_states_that_are_read_aloud(page: Page) -> None:
    open_model(page, "audio-video")
    for name in ("Audio", "Video"):
        expect(page.get_by_role("group", name=name)).to_be_visible()
        expect(page.get_by_role("button", name=f"Choose a file {name}")).to_have_attribute("type", "file")
    use_example(page)
    answer = predict(page)
    best = answer["predictions"][0]
    spoken = page.locator("#status")
    expect(spoken).to_contain_text(f"Predicted: {best['label']}, ")
    expect(spoken).to_contain_text("audio alone")
    expect(page.get_by_role("region", name="The answer").first).to_be_visible()
    assert page.locator("#result .track:not([aria-hidden=true])").count() == 0


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_little_motion_is_honoured(open_page: Open, motion: str, moves: bool) -> None:
    page = open_page(reduced_motion=motion)
    open_model(page, "image-text")
    use_example(page)
    predict(page)
    names = page.locator(".fill").evaluate_all("(bars) => bars.map((bar) => getComputedStyle(bar).animationName)")
    assert set(names) == {"grow" if moves else "none"}
