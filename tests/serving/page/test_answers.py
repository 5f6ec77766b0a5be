"""The page in Chromium: what it shows is what the service answers, for all three pairings."""

import re

import pytest

from tests.bundles import PAIRINGS
from tests.serving.page.conftest import Open, Watched
from tests.serving.page.steps import (
    Bar,
    Page,
    ask,
    bars,
    choose,
    contributions,
    example,
    expect,
    field,
    open_model,
    percent,
    points,
    predict,
    use_example,
)
from tests.serving.process import Server

every_pairing = pytest.mark.parametrize("pairing", PAIRINGS, ids="-".join)
REVOKED = """
window.revoked = [];
const revoke = URL.revokeObjectURL;
URL.revokeObjectURL = (address) => { window.revoked.push(address); revoke.call(URL, address); };
"""
BLOB = re.compile("^blob:http://127.0.0.1")


QUIET = {"missing": [], "disagreement": False, "unusual": [], "abstain": False}
"""What there is to note of an answer of which nothing is."""


def assert_spans(bar: Bar, one: float, other: float) -> None:
    """A contribution's bar lies between two probabilities."""
    assert bar.start == pytest.approx(min(one, other), abs=0.012)
    assert bar.length == pytest.approx(max(abs(other - one), 0.01), abs=0.012)


def assert_drawn(bar: Bar, probability: float) -> None:
    assert bar.number == percent(probability)
    assert bar.length == pytest.approx(max(probability, 0.01), abs=0.012)


@every_pairing
def test_an_example_is_predicted_and_shown_as_the_service_answers_it(
    page: Page, server: Server, pairing: tuple[str, ...]
) -> None:
    model = "-".join(pairing)
    open_model(page, model)
    use_example(page)
    shown = predict(page)
    expected = ask(server, model, example(server, model, pairing, 0))
    assert {**shown, "timing": None} == {**expected, "timing": None}

    best = expected["predictions"][0]
    expect(page.locator(".verdict .label")).to_have_text(best["label"])
    expect(page.locator(".verdict .number")).to_have_text(percent(best["probability"]))
    classes = bars(page, "classes")
    assert [bar.name for bar in classes] == [entry["label"] for entry in expected["predictions"]]
    for bar, entry in zip(classes, expected["predictions"], strict=True):
        assert_drawn(bar, entry["probability"])

    together, *alone = bars(page, "alone")
    assert_drawn(together, best["probability"])
    assert [bar.name for bar in alone] == [f"{name.capitalize()} alone" for name in pairing]
    for bar, name in zip(alone, pairing, strict=True):
        own = expected["modalities"][name]
        assert_drawn(bar, own["confidence"])
        agrees = own["label"] == best["label"]
        assert bar.note == ("would choose it too" if agrees else f"would choose “{own['label']}”")
    expect(page.get_by_text("one share of evidence for each modality")).to_be_visible()
    start, *added, total = contributions(page)
    assert (start.name, start.number) == ("Without anything", percent(expected["baseline"]))
    assert (total.name, total.number) == ("The answer", percent(best["probability"]))
    assert_spans(start, 0, expected["baseline"])
    reached = expected["baseline"]
    for bar, name in zip(added, pairing, strict=True):
        contribution = expected["modalities"][name]["contribution"]
        assert (bar.name, bar.number) == (name.capitalize(), points(contribution))
        assert_spans(bar, reached, reached + contribution)
        reached += contribution
    assert_spans(total, 0, reached)
    for stage in ("Decode", "Queue", "Infer"):
        expect(page.locator(".times dt", has_text=stage)).to_be_visible()
    expect(page.locator(".timing")).to_contain_text("in the service")


def test_examples_come_round(page: Page, server: Server) -> None:
    open_model(page, "image-text")
    with server.client() as client:
        models = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
        has = models["image-text"]["examples"]
        texts = [
            client.get(f"/v1/models/image-text/examples/{index}/text").text if "text" in inputs else ""
            for index, inputs in enumerate(has)
        ]
    assert len(has) > 1 and "" in texts
    for turn in [*range(len(has)), 0]:
        use_example(page, turn)
        expect(page.get_by_role("textbox", name="Text")).to_have_value(texts[turn])
        expect(field(page, "image").get_by_role("img")).to_be_visible()
        if not texts[turn]:
            expect(page.locator("#status")).to_have_text(re.compile("fills the fields, but for text, which it lacks."))
            assert predict(page)["missing"] == ["text"]


def test_sound_and_clip_can_be_played_and_a_picture_is_seen(page: Page) -> None:
    open_model(page, "audio-video")
    use_example(page)
    for kind in ("audio", "video"):
        player = page.locator(f"{kind}[controls]")
        expect(player).to_have_attribute("src", BLOB)
        expect(field(page, kind)).to_contain_text("0.")  # its duration, known once the browser has read it
        assert player.evaluate("(player) => player.play().then(() => player.error)") is None
    open_model(page, "pathology-genomics")
    use_example(page)
    picture = field(page, "pathology").get_by_role("img")
    expect(picture).to_have_attribute("src", BLOB)
    expect(field(page, "pathology")).to_contain_text("pixels")
    assert picture.evaluate("(picture) => picture.naturalWidth") > 1
    expect(field(page, "genomics")).to_contain_text("values")
    expect(field(page, "genomics").get_by_role("listitem").first).to_contain_text("gene_")


def test_what_is_replaced_is_freed(open_page: Open) -> None:
    page = open_page()
    page.add_init_script(REVOKED)
    open_model(page, "image-text")
    use_example(page, 0)
    first = field(page, "image").get_by_role("img").get_attribute("src")
    use_example(page, 1)
    expect(field(page, "image").get_by_role("img")).not_to_have_attribute("src", first or "")
    assert page.evaluate("window.revoked") == [first]
    page.get_by_role("button", name="Remove image").click()
    expect(field(page, "image").get_by_role("img")).to_have_count(0)
    assert len(page.evaluate("window.revoked")) == 2
    expect(field(page, "image").locator("input[type=file]")).to_be_focused()


def test_a_changed_sample_leaves_no_answer_that_seems_its_own(page: Page) -> None:
    open_model(page, "image-text")
    use_example(page)
    predict(page)
    note = page.get_by_text("The sample was changed since")
    expect(note).to_be_hidden()
    page.get_by_role("textbox", name="Text").fill("green river")
    expect(note).to_be_visible()
    predict(page)
    expect(note).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("audio-video")
    expect(page.locator(".verdict")).to_have_count(0)


def test_fields_that_the_next_model_also_has_keep_their_content(page: Page) -> None:
    open_model(page, "pathology-genomics")
    use_example(page)
    written = page.get_by_role("textbox", name="Genomics").input_value()
    page.get_by_label("Model", exact=True).select_option("second-pathology-genomics")
    expect(page.get_by_role("textbox", name="Genomics")).to_have_value(written)
    expect(field(page, "pathology")).to_contain_text("example-1.png")
    assert predict(page)["model"] == "second-pathology-genomics"


def test_of_many_classes_the_first_ten_are_shown_until_all_are_asked_for(page: Page) -> None:
    first, rest = 0.5, 0.005
    labels = [f"class {index}" for index in range(101)]
    answer = {
        "model": "image-text",
        "predictions": [
            {"label": label, "probability": first if index == 0 else rest} for index, label in enumerate(labels)
        ],
        "modalities": {
            "image": {"label": "class 7", "confidence": 0.00001, "contribution": -0.1, "shift": None},
            "text": {"label": "class 0", "confidence": 0.99999, "contribution": 0.59, "shift": 0.5},
        },
        **QUIET,
        "baseline": 0.01,
        "timing": {"receive": 1.0, "decode": 2.0, "queue": 3.0, "infer": 4.0, "total": 1234.5},
    }
    page.route("**/v1/predict", lambda route: route.fulfill(json=answer))
    open_model(page, "image-text")
    use_example(page)
    predict(page)
    assert [bar.name for bar in bars(page, "classes")] == labels[:10]
    more = page.get_by_role("button", name="Show all 101 classes")
    more.click()
    expect(page.locator(".classes li:visible")).to_have_count(101)
    fewer = page.get_by_role("button", name="Show the first 10 alone")
    expect(fewer).to_have_attribute("aria-expanded", "true")
    fewer.click()
    expect(page.locator(".classes li:visible")).to_have_count(10)
    _, image, text = bars(page, "alone")
    assert (image.number, image.note) == (percent(0.00001), "would choose “class 7”")
    assert (text.number, text.note) == (percent(0.99999), "would choose it too")
    expect(page.get_by_text("Image would choose differently alone")).to_be_visible()
    expect(page.locator(".timing")).to_contain_text("1,235")


def test_labels_and_names_are_text_and_never_markup(page: Page, watched: Watched) -> None:
    bold = "<b>bold</b><img src=x>"
    answer = {
        "model": bold,
        "predictions": [{"label": bold, "probability": 1.0}],
        "modalities": {
            name: {"label": f"{bold}{name}", "confidence": 1.0, "contribution": 0.4, "shift": 2.0}
            for name in ("image", "text")
        },
        **QUIET,
        "disagreement": True,
        "unusual": ["image", bold],
        "missing": [bold],
        "baseline": 0.2,
        "timing": {"total": 1.0, bold: 1.0},
    }
    page.route("**/v1/predict", lambda route: route.fulfill(json=answer))
    open_model(page, "image-text")
    choose(page, "image", {"name": f"{bold}.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.get_by_role("textbox", name="Text").fill("red")
    predict(page)
    expect(page.locator(".verdict .label")).to_have_text(bold)
    expect(page.locator(".flag")).to_have_count(3)
    expect(page.locator(".flag b b")).to_have_count(0)
    expect(page.locator("#result img, .facts img, .facts b b")).to_have_count(0)
    expect(field(page, "image")).to_contain_text(f"{bold}.png")
    assert watched.asked("/x") == 0


def test_the_page_in_dark_and_in_light(page: Page) -> None:
    open_model(page, "audio-video")
    colours = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours[scheme] = page.locator("body").evaluate(
            "(body) => [getComputedStyle(body).backgroundColor, getComputedStyle(body).color]"
        )
    assert colours["light"] == ["rgb(245, 247, 249)", "rgb(29, 35, 41)"]
    assert colours["dark"] == ["rgb(17, 21, 26)", "rgb(228, 232, 236)"]
