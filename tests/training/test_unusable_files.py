"""Files of a table that cannot be read or decoded are all named before any training."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundle.media import colourful, picture
from tests.training.conftest import Fit, Refused
from tests.training.tables import Row, as_nobody, changed, write_csv

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "other": lambda whole: b"no media, just words",
    "truncated": lambda whole: whole[: len(whole) * 2 // 3],
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_every_file_that_cannot_be_decoded_is_said_at_once(
    kind: str, refused: Refused, rows: list[Row], tmp_path: Path
) -> None:
    for number, modality in enumerate(("audio", "video", "image", "pathology")):
        for row in (rows[number * 2 + 1], rows[20 + number]):
            broken = tmp_path / f"{number}-{Path(row[modality]).name}"
            broken.write_bytes(DAMAGE[kind](Path(row[modality]).read_bytes()))
            row[modality] = str(broken)
    first, *lines = refused(write_csv(tmp_path / "table.csv", rows))
    assert first == "8 rows of the table cannot be used:"
    assert [line.split(":")[0] for line in lines] == [
        "row 3, audio", "row 5, video", "row 7, image", "row 9, pathology",
        "row 22, audio", "row 23, video", "row 24, image", "row 25, pathology",
    ]  # fmt: skip
    assert all(": expected " in line and ", received " in line for line in lines)


def test_a_grey_tile_and_a_clip_without_sound(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "grey.png").write_bytes(picture(colourful()[..., 0]))
    broken = changed(rows, 1, pathology=str(tmp_path / "grey.png"), audio=rows[1]["image"])
    _, sound, tile = refused(write_csv(tmp_path / "table.csv", broken))
    assert sound.startswith("row 3, audio: expected a sound file")
    assert tile == "row 3, pathology: expected a colour (RGB) tile, received a picture of mode L"


@pytest.mark.parametrize("modality", ["audio", "image", "text"])
def test_a_file_that_may_not_be_read(
    modality: str, fit: Fit, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders cannot be entered by others
        os.chmod(folder, 0o777)
        locked = Path(folder) / "locked"
        locked.write_bytes(Path(rows[0].get(modality, "")).read_bytes() if modality != "text" else b"some words")
        locked.chmod(0)
        short = [{"label": row["label"], "split": row["split"], modality: str(locked), "gene_0": "1"} for row in rows]
        path = write_csv(Path(folder) / "table.csv", short)
        path.chmod(0o644)
        with as_nobody():
            files = ["--dataset.text-files"] if modality == "text" else []
            assert fit(path, *files, "--cache", Path(folder) / "cache", out=Path(folder) / "run") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: 36 rows of the table cannot be used:"
    assert (
        lines[1] == f"  row 2, {modality}: expected a file that can be read, found one that cannot (Permission denied)"
    )


def test_text_files_that_are_no_text(refused: Refused, rows: list[Row], tmp_path: Path) -> None:
    named = [row | {"text": row["image"]} for row in rows]
    path = write_csv(tmp_path / "table.csv", named, ["label", "split", "audio", "text"])
    _, *lines = refused(path, "--dataset.text-files")
    assert len(lines) == 36
    assert lines[0].startswith("row 2, text: expected text in UTF-8, received")
