"""The page in Chromium: whatever is refused is said in words, where it belongs, with a way on."""

import re
from pathlib import Path

from tests.serving.conftest import BODY_LIMIT
from tests.serving.page.conftest import Watched
from tests.serving.page.steps import Page, Route, choose, expect, field, open_model, predict, refuse, use_example
from tests.serving.samples import POISON

PREDICT = "**/v1/predict"
MODELS = "**/v1/models"


def press(page: Page) -> None:
    page.get_by_role("button", name="Predict").click()


def test_with_nothing_filled_the_fields_are_named_and_the_first_is_gone_to(page: Page, watched: Watched) -> None:
    open_model(page, "image-text")
    press(page)
    for name in ("image", "text"):
        expect(field(page, name).locator(".error")).to_have_text(
            f"{name.capitalize()} is missing. One field at least needs something."
        )
    chooser = field(page, "image").locator("input[type=file]")
    expect(chooser).to_be_focused()
    expect(chooser).to_have_attribute("aria-invalid", "true")
    assert watched.asked("/v1/predict") == 0
    page.get_by_role("textbox", name="Text").fill("red")
    for name in ("image", "text"):
        expect(field(page, name).locator(".error")).to_be_hidden()


def test_where_every_field_is_asked_for_the_empty_ones_are_named(page: Page, watched: Watched) -> None:
    open_model(page, "image-text")
    page.get_by_text("Options").click()
    page.get_by_label("Refuse a sample that lacks a field").check()
    page.get_by_role("textbox", name="Text").fill("red")
    press(page)
    error = field(page, "image").locator(".error")
    expect(error).to_have_text("Image is missing. Every field needs something.")
    expect(field(page, "text").locator(".error")).to_be_hidden()
    assert watched.asked("/v1/predict") == 0


def test_what_is_no_probability_is_said_at_the_option(page: Page, watched: Watched) -> None:
    open_model(page, "image-text")
    use_example(page)
    page.get_by_text("Options").click()
    below = page.get_by_label("Abstain below")
    for wrong in ("101", "-1", "1e"):
        below.clear()
        below.press_sequentially(wrong)
        page.get_by_text("Options").click()  # closed, it opens by itself
        press(page)
        expect(below).to_be_focused()
        expect(below).to_have_accessible_description(re.compile("A number from 0 to 100 is expected here"))
    assert watched.asked("/v1/predict") == 0
    below.fill("50")
    expect(page.locator("#abstain-error")).to_be_hidden()
    page.route(PREDICT, lambda route: refuse_option(route))
    press(page)
    expect(page.locator("#abstain-error")).to_contain_text("expected a number")


def refuse_option(route: Route) -> None:
    content = {"type": "urn:infobridge:problem:invalid-input", "title": "Invalid input", "status": 422}
    known = {"detail": "abstain_below: expected a number from 0 to 1", "field": "abstain_below"}
    route.fulfill(status=422, json=content | known)


def test_what_the_service_refuses_is_said_at_the_field(page: Page) -> None:
    open_model(page, "pathology-genomics")
    use_example(page)
    genomics = page.get_by_role("textbox", name="Genomics")
    genomics.fill('{"gene_Z": 1}')
    press(page)
    error = field(page, "genomics").locator(".error")
    expect(error).to_contain_text("Expected only the 4 known columns")
    expect(error).to_contain_text("received 'gene_Z'.")
    expect(genomics).to_be_focused()
    expect(genomics).to_have_attribute("aria-invalid", "true")
    expect(genomics).to_have_accessible_description(re.compile("received 'gene_Z'"))
    expect(field(page, "pathology").locator(".error")).to_be_hidden()
    genomics.fill('{"gene_A": 1}')
    expect(error).to_be_hidden()
    predict(page)


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page) -> None:
    open_model(page, "image-text")
    choose(page, "image", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture at all"})
    expect(field(page, "image")).to_contain_text("This browser cannot show this file.")
    page.get_by_role("textbox", name="Text").fill("red")
    press(page)
    expect(field(page, "image").locator(".error")).to_contain_text("Expected a ")
    expect(field(page, "image").locator(".error")).to_contain_text("PNG")


def test_a_file_over_the_limit_is_not_even_sent(page: Page, watched: Watched) -> None:
    open_model(page, "image-text")
    use_example(page)
    choose(page, "image", {"name": "a.png", "mimeType": "image/png", "buffer": bytes(BODY_LIMIT + 1)})
    press(page)
    expect(field(page, "image").locator(".error")).to_contain_text("Too large: this has 1.0\u202fMB, and a request")
    assert watched.asked("/v1/predict") == 0


def test_a_file_that_is_gone_from_the_disk_is_to_be_chosen_again(page: Page, watched: Watched, tmp_path: Path) -> None:
    file = tmp_path / "changing.png"
    file.write_bytes(b"before")
    open_model(page, "image-text")
    choose(page, "image", file)
    page.get_by_role("textbox", name="Text").fill("red")
    file.unlink()
    press(page)
    expect(field(page, "image").locator(".error")).to_contain_text("changed or moved after it was chosen")
    watched.forgive("Failed to load resource: net::ERR_")


def test_an_error_of_the_service_is_an_alert_with_a_way_on(page: Page) -> None:
    open_model(page, "fragile")
    use_example(page)
    page.get_by_role("textbox", name="Text").fill(POISON)
    press(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Internal error")
    expect(alert).to_contain_text("The model failed on this input")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_role("textbox", name="Text").fill("red house")
    expect(alert).to_be_empty()
    predict(page)


def test_a_busy_service_is_asked_again_when_it_says(page: Page, watched: Watched) -> None:
    waits = ["1", "1"]

    def busy(route: Route) -> None:
        if waits:
            refuse(route, 503, "overloaded", "too many samples wait; try again", **{"Retry-After": waits.pop()})
        else:
            route.continue_()

    page.route(PREDICT, busy)
    open_model(page, "image-text")
    use_example(page)
    press(page)
    expect(page.get_by_role("alert")).to_contain_text("Too many samples wait; try again.")
    expect(page.get_by_role("alert")).to_contain_text("The service asks to wait one second.")
    again = page.get_by_role("button", name="Try", exact=False)
    again.click()
    expect(page.get_by_role("button", name="Try again in 1 s")).to_be_visible()
    assert watched.asked("/v1/predict") == 2
    expect(page.get_by_role("button", name="Try again", exact=True)).to_be_visible()
    again.click()
    expect(page.get_by_role("status").filter(has_text="Predicted:")).to_be_visible()
    assert watched.asked("/v1/predict") == 3
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_broken_connection_is_said_in_words(page: Page, watched: Watched) -> None:
    page.route(PREDICT, lambda route: route.abort("connectionreset"))
    open_model(page, "image-text")
    use_example(page)
    press(page)
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    page.unroute(PREDICT)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status").filter(has_text="Predicted:")).to_be_visible()
    watched.forgive("net::ERR_CONNECTION_RESET")


def test_what_a_proxy_answers_is_said_in_words(page: Page) -> None:
    page.route(PREDICT, lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    open_model(page, "image-text")
    use_example(page)
    press(page)
    expect(page.get_by_role("alert")).to_contain_text("The service, or a proxy before it, answered 502")


def test_a_model_that_is_gone_can_be_read_anew(page: Page) -> None:
    def gone(route: Route) -> None:
        content = {"type": "urn:infobridge:problem:unknown-model", "title": "Unknown model", "status": 404}
        route.fulfill(status=404, json=content | {"detail": "no such model; there is other", "field": "model"})

    page.route(PREDICT, gone)
    open_model(page, "image-text")
    use_example(page)
    press(page)
    expect(page.locator("#model-error")).to_contain_text("no such model")
    expect(page.get_by_label("Model", exact=True)).to_be_focused()
    page.get_by_role("button", name="Read the models anew").click()
    expect(page.locator("#model-error")).to_be_hidden()


def test_a_prediction_can_be_cancelled(page: Page) -> None:
    page.route(PREDICT, lambda route: None)  # never answered
    open_model(page, "image-text")
    use_example(page)
    with page.expect_request(PREDICT):
        press(page)
    expect(page.get_by_role("status").filter(has_text="waiting for its answer")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("button", name="Predict")).to_have_attribute("aria-disabled", "true")
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").filter(has_text="Cancelled.")).to_be_visible()
    expect(page.get_by_role("button", name="Predict")).to_be_focused()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    page.unroute(PREDICT)
    predict(page)


def test_a_service_that_is_not_ready_is_waited_for(page: Page, watched: Watched) -> None:
    answers = [lambda route: refuse(route, 503, "not-ready", "the bundles are not loaded", **{"Retry-After": "1"})]
    page.route(MODELS, lambda route: answers.pop()(route) if answers else route.continue_())
    page.goto("/")
    notice = page.get_by_role("status").filter(has_text="not ready yet: the bundles are not loaded.")
    expect(notice).to_contain_text("The page tries again every second.")
    expect(page.get_by_label("Model", exact=True)).to_be_visible()
    expect(notice).to_be_hidden()
    assert watched.asked("/v1/models") == 2


def test_a_key_that_is_withdrawn_meanwhile_is_asked_for_and_the_sample_stays(page: Page) -> None:
    open_model(page, "image-text")
    use_example(page)
    page.route(PREDICT, lambda route: refuse(route, 401, "unauthorized", "this server asks for an API key"))
    press(page)
    key = page.get_by_label("API key", exact=True)
    expect(key).to_be_focused()
    page.unroute(PREDICT)
    key.press("Enter")
    expect(key).to_have_accessible_description(re.compile("Type the key first"))
    key.fill("fresh")
    key.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Predicted:")).to_be_visible()
