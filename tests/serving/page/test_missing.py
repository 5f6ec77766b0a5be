"""The page in Chromium: a field that is left out, and whatever is to be noted of an answer."""

import json
import re
from typing import Any

import pytest

from tests.serving.page.conftest import Watched
from tests.serving.page.steps import (
    Page,
    ask,
    contributions,
    expect,
    field,
    open_model,
    percent,
    points,
    predict,
    use_example,
)
from tests.serving.process import Server

APPENDED = """
window.appended = [];
const append = FormData.prototype.append;
FormData.prototype.append = function (name, value, ...more) {
    window.appended.push([name, String(value)]);
    append.call(this, name, value, ...more);
};
0
"""
MODELS = "**/v1/models"


def fill(page: Page, text: str | None, genomics: dict[str, float] | None) -> None:
    """The two fields of the fragile model, which are typed."""
    open_model(page, "fragile")
    page.get_by_role("textbox", name="Text").fill(text or "")
    page.get_by_role("textbox", name="Genomics").fill("" if genomics is None else json.dumps(genomics))


def flag(page: Page, kind: str) -> Any:
    return page.locator(f".flag[data-flag={kind}]")


def test_a_field_says_what_to_expect_without_it(page: Page) -> None:
    open_model(page, "fragile")
    said = {"text": "May be left empty: then right for 70 % of 90 test samples (60–80 %)"}
    said["genomics"] = "May be left empty: then right for 60 % of 90 test samples (50–70 %)"
    for name, words in said.items():
        expect(page.locator(f"#optional-{name}")).to_have_text(words.replace(" %", "\u202f%"))
        box = page.get_by_role("textbox", name=name.capitalize())
        expect(box).to_have_accessible_description(re.compile("May be left empty: then right for"))
    expect(page.locator("#about")).to_contain_text("With every field, right for 80\u202f% of 90 test samples")
    open_model(page, "image-text")
    expect(page.locator("#optional-text")).to_have_text("May be left empty")


def test_a_field_that_is_left_empty_is_not_sent_and_shown_as_missing(page: Page, server: Server) -> None:
    fill(page, None, {"gene_A": 1.0})
    answer = predict(page)
    expected = ask(server, "fragile", {"genomics": (None, '{"gene_A": 1.0}')})
    assert {**answer, "timing": None} == {**expected, "timing": None} and answer["missing"] == ["text"]
    expect(flag(page, "missing")).to_have_text(
        "Answered without text. So the model was right for 70\u202f% of its test samples, with everything for "
        "80\u202f%."
    )
    start, text, genomics, total = contributions(page)
    assert (text.number, text.length) == ("not given", 0)
    assert genomics.number == points(answer["modalities"]["genomics"]["contribution"])
    assert (start.number, total.number) == (
        percent(answer["baseline"]),
        percent(answer["predictions"][0]["probability"]),
    )
    expect(page.locator("#result .alone li")).to_have_count(2)
    expect(page.locator("#status")).to_contain_text("Answered without text.")
    expect(page.get_by_text("Only genomics was given.")).to_be_visible()


def test_an_answer_below_the_limit_asks_for_a_person(page: Page) -> None:
    fill(page, "red", {"gene_A": 1.0})
    page.get_by_text("Options").click()
    expect(page.locator("#abstain-hint")).to_contain_text("the model’s own limit, 35\u202f%.")
    page.get_by_label("Abstain below").fill("99.5")
    answer = predict(page)
    assert answer["abstain"] is True
    best = percent(answer["predictions"][0]["probability"])
    expect(flag(page, "abstain")).to_have_text(f"Better ask a person. {best} is less than the 99.5\u202f% asked for.")
    expect(page.locator("#status")).to_contain_text("Better ask a person.")
    page.get_by_label("Abstain below").fill("0")
    expect(page.get_by_text("The sample was changed since")).to_be_visible()
    assert predict(page)["abstain"] is False
    expect(flag(page, "abstain")).to_have_count(0)


def test_an_input_unlike_the_training_data_and_inputs_that_disagree_are_flagged(page: Page) -> None:
    fill(page, "red", {"gene_A": -100.0})
    answer = predict(page)
    assert answer["unusual"] == ["genomics"] and answer["disagreement"] is True
    expect(flag(page, "unusual")).to_have_text(
        "Unusual input. Genomics (2.5 times the usual limit) lies too far from the training data for any number here "
        "to be relied on."
    )
    own = {name: said["label"] for name, said in answer["modalities"].items()}
    expect(flag(page, "disagreement")).to_have_text(
        f"The modalities disagree. Alone they would choose: text “{own['text']}” and genomics “{own['genomics']}”."
    )
    expect(page.locator("#status")).to_contain_text("Unusual input. The modalities disagree.")
    fill(page, "red", {"gene_A": 1.0})
    predict(page)
    expect(page.locator(".flag")).to_have_count(0)


def test_a_modality_that_speaks_against_the_answer_lowers_it_visibly(page: Page) -> None:
    fill(page, "red", {"gene_A": -1.0})
    answer = predict(page)
    lowering = [name for name, own in answer["modalities"].items() if own["contribution"] < 0]
    assert len(lowering) == 1
    expect(page.locator(f".contributions li[data-input={lowering[0]}]")).to_have_class("lowers")
    expect(page.locator(".contributions .explained")).to_contain_text(f"{lowering[0]} lowers that by")


def test_a_sample_may_be_asked_to_be_whole(page: Page) -> None:
    fill(page, "red", {"gene_A": 1.0})
    page.get_by_text("Options").click()
    page.evaluate(APPENDED)
    predict(page)
    page.get_by_label("Refuse a sample that lacks a field").check()
    page.get_by_label("Abstain below").fill("12.5")
    predict(page)
    plain, whole = ["model", "text", "genomics"], ["model", "require_all", "abstain_below", "text", "genomics"]
    appended = page.evaluate("window.appended")
    assert [name for name, _ in appended] == plain + whole
    assert appended[4:6] == [["require_all", "true"], ["abstain_below", "0.125"]]


@pytest.mark.parametrize("inputs", [2, 1])
def test_a_strict_service_asks_for_every_field(page: Page, server: Server, watched: Watched, inputs: int) -> None:
    """A model of one input asks for nothing that could be missing."""
    with server.client() as client:
        found = client.get("/v1/models").json()
    [model] = [model for model in found["models"] if model["name"] == "image-text"]
    described = model | {"may_be_missing": [], "inputs": model["inputs"][-inputs:], "examples": []}
    page.route(MODELS, lambda route: route.fulfill(json=found | {"models": [described]}))
    open_model(page, "image-text")
    page.get_by_text("Options").click()
    strict = page.get_by_label("Refuse a sample that lacks a field")
    if inputs == 1:
        expect(strict).to_be_hidden()
        return
    expect(strict).to_be_checked()
    expect(strict).to_be_disabled()
    expect(page.locator("#require-hint")).to_have_text("This service asks for every field, always.")
    expect(page.locator("#optional-text")).to_be_hidden()
    page.get_by_role("textbox", name="Text").fill("red")
    page.get_by_role("button", name="Predict").click()
    expect(field(page, "image").locator(".error")).to_have_text("Image is missing. Every field needs something.")
    assert watched.asked("/v1/predict") == 0


def test_an_example_that_lacks_an_input_leaves_its_field_empty(page: Page) -> None:
    open_model(page, "pathology-genomics")
    for turn in range(4):
        use_example(page, turn)
    expect(page.get_by_role("textbox", name="Genomics")).to_have_value("")
    expect(field(page, "pathology")).to_contain_text("example-4.png")
