"""Decoded samples: kept once, made anew when anything changed, never half-written."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import Image, Modality, Text
from bundle.modalities.modality import Array, Payload
from tests.training.tables import Row
from training.errors import ConfigError, DataError
from training.pairs import Pairs, Source
from training.preparation import decode_all, digest_of
from training.tokenizer import train_tokenizer

IMAGE = Image(16)


@pytest.fixture
def pairs(rows: list[Row], tmp_path: Path) -> Pairs:
    """Pictures in a folder of the test's own, and texts."""
    (tmp_path / "media").mkdir()
    for row in rows:
        copy = tmp_path / "media" / Path(row["image"]).name
        copy.write_bytes(Path(row["image"]).read_bytes())
        row["image"] = str(copy)
    sources: dict[str, list[Source]] = {
        "image": [Path(row["image"]) for row in rows],
        "text": [row["text"] for row in rows],
    }
    count = len(rows)
    numbers = np.arange(count)
    return Pairs(("a", "b"), sources, numbers % 2, numbers, np.full(count, "train"), [f"row {n}" for n in numbers])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one for each picture that is decoded."""
    calls: list[str] = []
    decode = Image.decode

    def count(self: Image, payload: Payload) -> Array:
        calls.append("image")
        return decode(self, payload)

    monkeypatch.setattr(Image, "decode", count)
    return calls


def pictures(pairs: Pairs, cache: Path, modality: Modality = IMAGE) -> np.ndarray:
    one = Pairs(pairs.labels, {"image": pairs.sources["image"]}, *_rest(pairs))
    return np.asarray(decode_all(one, {"image": modality}, cache)["image"])


def _rest(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    return pairs.targets, pairs.groups, pairs.splits, list(pairs.rows)


def test_samples_are_decoded_as_serving_does_and_only_once(pairs: Pairs, tmp_path: Path, counted: list[str]) -> None:
    first = pictures(pairs, tmp_path / "cache")
    assert len(counted) == 36
    again = pictures(pairs, tmp_path / "cache")
    assert len(counted) == 36
    expected = [IMAGE.decode(Path(str(source)).read_bytes()) for source in pairs.sources["image"]]
    assert (first == np.stack(expected)).all() and (again == first).all()


@pytest.mark.parametrize("change", ["content", "time", "size", "fit", "fewer", "order"])
def test_what_changed_is_decoded_anew(change: str, pairs: Pairs, tmp_path: Path, counted: list[str]) -> None:
    pictures(pairs, tmp_path / "cache")
    counted.clear()
    source, modality = Path(str(pairs.sources["image"][3])), IMAGE
    if change == "content":
        source.write_bytes(Path(str(pairs.sources["image"][4])).read_bytes())
    elif change == "time":
        os.utime(source, ns=(1, 1))
    elif change in ("size", "fit"):
        modality = replace(IMAGE, **{"size": 12} if change == "size" else {"fit": "pad"})
    else:
        kept = pairs.sources["image"][:-1] if change == "fewer" else pairs.sources["image"][::-1]
        count = len(kept)
        pairs = Pairs(pairs.labels, {"image": kept}, *(part[:count] for part in _rest(pairs)))  # type: ignore[arg-type]
    found = pictures(pairs, tmp_path / "cache", modality)
    assert len(counted) == len(pairs.rows)
    assert (found[3] == modality.decode(Path(str(pairs.sources["image"][3])).read_bytes())).all()


def test_a_changed_decoder_is_not_served_old_arrays(
    pairs: Pairs, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(pairs, tmp_path / "cache")
    monkeypatch.setattr("training.preparation._decoders", lambda: b"another version")
    pictures(pairs, tmp_path / "cache")
    assert len(counted) == 72


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"not an array"])
def test_a_damaged_file_is_made_anew(damage: bytes, pairs: Pairs, tmp_path: Path) -> None:
    expected = pictures(pairs, tmp_path / "cache").copy()
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage)
    assert (pictures(pairs, tmp_path / "cache") == expected).all()


def test_texts_of_any_length_are_decoded_without_files(pairs: Pairs, tmp_path: Path) -> None:
    texts = [str(text) for text in pairs.sources["text"]]
    text = Text(train_tokenizer(texts, 60), 16)
    one = Pairs(pairs.labels, {"text": texts}, *_rest(pairs))
    found = decode_all(one, {"text": text}, tmp_path / "cache")["text"]
    assert [list(ids) for ids in found] == [list(text.decode(words)) for words in texts]
    assert not (tmp_path / "cache").exists()


def test_an_interrupted_writer_leaves_nothing(pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("training.preparation.os.replace", _interrupt)
        pictures(pairs, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_sample_that_cannot_be_decoded_leaves_nothing(pairs: Pairs, tmp_path: Path) -> None:
    Path(str(pairs.sources["image"][20])).write_bytes(b"")
    with pytest.raises(DataError, match=r"1 row of the table cannot be used:\n  row 20, image: expected a picture"):
        pictures(pairs, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
import training.preparation as preparation
from bundle.modalities import Image
from training.pairs import Pairs
sources = sorted(Path(sys.argv[1]).glob("*.png"))
numbers = np.arange(len(sources))
splits, rows = np.full(len(sources), "train"), [str(number) for number in numbers]
pairs = Pairs(("a", "b"), {"image": sources}, numbers % 2, numbers, splits, rows)
if sys.argv[3] == "kill":
    preparation.os.replace = lambda *_: os.kill(os.getpid(), 9)
print(np.asarray(preparation.decode_all(pairs, {"image": Image(16)}, Path(sys.argv[2]))["image"]).astype(int).sum())
"""


def test_a_killed_writer_does_no_harm_and_concurrent_ones_agree(pairs: Pairs, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "media"), str(tmp_path / "cache")]
    assert subprocess.run([*command, "kill"], capture_output=True, check=False).returncode == -9
    assert not list((tmp_path / "cache").glob("*.npy")), "nothing half-written under its name"
    for left in (tmp_path / "cache").iterdir():
        os.utime(left, (0, 0))
    both = [subprocess.Popen([*command, "both"], stdout=subprocess.PIPE) for _ in range(2)]
    sums = [process.communicate()[0].split()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sums[0] == sums[1]
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"], "and what the killed one left is gone"


def test_a_folder_that_cannot_be_written_is_refused(pairs: Pairs) -> None:
    with pytest.raises(ConfigError, match="--cache /dev/null/x cannot be written: Not a directory"):
        pictures(pairs, Path("/dev/null/x"))


def test_a_digest_tells_files_and_values_apart(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one", "utf-8")
    first = digest_of([file, "text", {"gene": 1.0}])
    assert digest_of([file, "text", {"gene": 1.0}]) == first
    others = [[file, "text", {"gene": None}], [file, "tex", {"gene": 1.0}], [tmp_path / "b", "text", {"gene": 1.0}]]
    assert all(digest_of(sources) != first for sources in others)  # type: ignore[arg-type]
