"""The page in Chromium: files that are chosen or dropped, generated and real."""

import csv
from pathlib import Path

import pytest

from tests.bundles import PAIRINGS
from tests.serving.page.conftest import Watched
from tests.serving.page.steps import Page, ask, choose, drop, expect, field, open_model, predict
from tests.serving.process import Server
from tests.serving.samples import payloads

every_pairing = pytest.mark.parametrize("pairing", PAIRINGS, ids="-".join)
FILES = {
    "audio": ("sound.wav", "audio/wav"),
    "video": ("clip.mp4", "video/mp4"),
    "image": ("picture.png", "image/png"),
    "text": ("words.txt", "text/plain"),
    "pathology": ("tile.png", "image/png"),
    "genomics": ("genes.json", "application/json"),
}
CANNOT_PLAY = "This browser cannot play this file. It is sent all the same"


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@every_pairing
@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_files_give_the_answer_of_their_bytes(page: Page, server: Server, pairing: tuple[str, ...], way: str) -> None:
    model = "-".join(pairing)
    sample = payloads(pairing, seed=5)
    open_model(page, model)
    for name, content in sample.items():
        file, kind = FILES[name]
        if way == "dropped":
            drop(page, field(page, name), (file, kind, content))
        else:
            choose(page, name, {"name": file, "mimeType": kind, "buffer": content})
    answer = predict(page)
    expected = ask(server, model, {name: (name, content) for name, content in sample.items()})
    assert answer["predictions"] == expected["predictions"]
    assert answer["modalities"] == expected["modalities"]


def test_a_field_shows_that_a_file_may_be_let_go_there(page: Page) -> None:
    open_model(page, "audio-video")
    target = field(page, "video")
    transfer = page.evaluate_handle(
        "() => { const one = new DataTransfer(); one.items.add(new File(['x'], 'x')); return one; }"
    )
    target.dispatch_event("dragenter", {"dataTransfer": transfer})
    assert "over" in (target.get_attribute("class") or "")
    target.dispatch_event("dragleave", {"dataTransfer": transfer})
    assert "over" not in (target.get_attribute("class") or "")


def test_two_files_in_one_field_are_refused_in_words(page: Page) -> None:
    open_model(page, "image-text")
    one = ("one.png", "image/png", b"x")
    drop(page, field(page, "image"), one, one)
    expect(field(page, "image").locator(".error")).to_have_text("One file is expected here, 2 files were given.")
    expect(field(page, "image").get_by_role("img")).to_have_count(0)


def test_a_file_let_go_beside_the_fields_does_not_replace_the_page(page: Page, watched: Watched) -> None:
    open_model(page, "image-text")
    asked = len(watched.requests)
    drop(page, page.locator("header"), ("page.html", "text/html", b"<p>other</p>"))
    expect(page.get_by_role("heading", name="InfoBridge")).to_be_visible()
    assert len(watched.requests) == asked


def test_one_clip_serves_as_sound_and_pictures(page: Page, real_data: Path, server: Server) -> None:
    clip = next((real_data / "grid_colour" / "video").glob("*.mp4"))
    open_model(page, "audio-video")
    choose(page, "video", clip)
    page.get_by_role("button", name="Use the clip’s sound too").click()
    expect(field(page, "audio")).to_contain_text(clip.name)
    expect(page.locator("audio[controls]")).to_be_visible()
    expect(page.get_by_role("button", name="Use the clip’s sound too")).to_have_count(0)
    parts = {name: (clip.name, clip.read_bytes()) for name in ("audio", "video")}
    assert predict(page)["predictions"] == ask(server, "audio-video", dict(parts))["predictions"]


def test_the_sound_of_a_clip_offers_its_pictures(page: Page, real_data: Path) -> None:
    clip = next((real_data / "grid_colour" / "video").glob("*.mp4"))
    open_model(page, "audio-video")
    choose(page, "audio", clip)
    page.get_by_role("button", name="Use this clip’s pictures too").click()
    expect(field(page, "video")).to_contain_text("112 × 98 pixels")


def test_real_sound_and_clip(page: Page, real_data: Path, server: Server) -> None:
    row = rows(real_data / "grid_digit" / "table.csv")[0]
    files = {name: real_data / "grid_digit" / row[name] for name in ("audio", "video")}
    open_model(page, "audio-video")
    for name, file in files.items():
        choose(page, name, file)
        expect(page.locator(f"{name}[controls]")).to_be_visible()
        expect(field(page, name)).to_contain_text(" s")
    expected = ask(server, "audio-video", {name: (file.name, file.read_bytes()) for name, file in files.items()})
    assert predict(page)["predictions"] == expected["predictions"]


def test_a_clip_that_no_browser_plays_is_sent_all_the_same(page: Page, real_data: Path) -> None:
    clip = next((real_data / "media").glob("*.flv"))
    open_model(page, "audio-video")
    choose(page, "video", clip)
    expect(field(page, "video")).to_contain_text(CANNOT_PLAY)
    page.get_by_role("button", name="Use the clip’s sound too").click()
    expect(field(page, "audio")).to_contain_text(CANNOT_PLAY)
    predict(page)


def test_a_real_picture_with_its_title(page: Page, real_data: Path, server: Server) -> None:
    row = rows(real_data / "openclipart" / "table.csv")[0]
    picture = real_data / "openclipart" / row["image"]
    open_model(page, "image-text")
    choose(page, "image", picture)
    page.get_by_role("textbox", name="Text").fill(row["text"])
    answer = predict(page)
    expected = ask(server, "image-text", {"image": (picture.name, picture.read_bytes()), "text": (None, row["text"])})
    assert answer["predictions"] == expected["predictions"]


def test_a_real_tile_with_values_written_as_csv(page: Page, real_data: Path, server: Server) -> None:
    row = rows(real_data / "her2st" / "table.csv")[0]
    tile = real_data / "her2st" / row["pathology"]
    open_model(page, "pathology-genomics")
    choose(page, "pathology", tile)
    expect(field(page, "pathology")).to_contain_text("224 × 224 pixels")
    written = "gene_A,gene_B,gene_C,gene_D\n1.5,-0.25,,3"
    page.get_by_role("textbox", name="Genomics").fill(written)
    expect(field(page, "genomics")).to_contain_text("4 values, 1 of them missing")
    expect(field(page, "genomics").get_by_role("listitem").first).to_have_text("gene_A 1.5")
    expected = ask(
        server, "pathology-genomics", {"pathology": (tile.name, tile.read_bytes()), "genomics": (None, written)}
    )
    assert predict(page)["predictions"] == expected["predictions"]


def test_values_of_unknown_genes_are_refused_at_their_field(page: Page, real_data: Path) -> None:
    row = rows(real_data / "her2st" / "table.csv")[0]
    genes = {name: value for name, value in row.items() if name.startswith("gene_")}
    content = ",".join(genes) + "\n" + ",".join(genes.values())
    open_model(page, "pathology-genomics")
    choose(page, "pathology", real_data / "her2st" / row["pathology"])
    choose(page, "genomics", {"name": "genes.csv", "mimeType": "text/csv", "buffer": content.encode()})
    expect(field(page, "genomics")).to_contain_text("300 values")
    expect(field(page, "genomics")).to_contain_text("and 296 more")
    page.get_by_role("button", name="Predict").click()
    expect(field(page, "genomics").locator(".error")).to_contain_text("Expected only the 4 known columns")


def test_a_text_file_is_read_into_the_field(page: Page) -> None:
    open_model(page, "image-text")
    written = "naïve 漢字\nin two lines"
    drop(page, field(page, "text"), ("words.txt", "text/plain", written.encode()))
    expect(page.get_by_role("textbox", name="Text")).to_have_value(written)
