"""Decoded samples: kept once, made anew when anything changed, never half-written."""

import os
import resource
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


def test_texts_of_any_length_are_kept_too(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    texts = [f"{text} {'old ' * (number % 5)}" for number, text in enumerate(pairs.sources["text"])]
    text = Text(train_tokenizer(texts, 60), 60)
    one = Pairs(pairs.labels, {"text": texts}, *_rest(pairs))
    expected = [text.decode(words).tolist() for words in texts]
    assert len({len(ids) for ids in expected}) > 1
    first = decode_all(one, {"text": text}, tmp_path / "cache")["text"]
    with monkeypatch.context() as patched:
        patched.setattr(Text, "decode", _never)
        again = decode_all(one, {"text": text}, tmp_path / "cache")["text"]
    for found in (first, again):
        assert [ids.tolist() for ids in found] == expected and found[0].dtype == np.int64
        assert [ids.tolist() for ids in found[-3:]] == expected[-3:]
    other = replace(text, tokenizer=train_tokenizer(texts[:9], 40))
    found = decode_all(one, {"text": other}, tmp_path / "cache")["text"]
    assert [ids.tolist() for ids in found] == [other.decode(words).tolist() for words in texts], "another tokenizer"


def _never(*_: object) -> Array:
    raise AssertionError("decoded again")


@pytest.mark.parametrize("damaged", ["values", "places", "lengths"])
def test_damaged_texts_are_made_anew(damaged: str, pairs: Pairs, tmp_path: Path) -> None:
    texts = [str(text) for text in pairs.sources["text"]]
    text = Text(train_tokenizer(texts, 60), 16)
    one = Pairs(pairs.labels, {"text": texts}, *_rest(pairs))
    expected = [ids.tolist() for ids in decode_all(one, {"text": text}, tmp_path / "cache")["text"]]
    (places,) = (tmp_path / "cache").glob("*.places.npy")
    (values,) = set((tmp_path / "cache").iterdir()) - {places}
    if damaged == "lengths":
        np.save(values, np.load(values)[:-1])
    else:
        (values if damaged == "values" else places).write_bytes(b"")
    assert [ids.tolist() for ids in decode_all(one, {"text": text}, tmp_path / "cache")["text"]] == expected


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """So many samples in each file of the cache; the 36 pictures do not divide by it."""
    monkeypatch.setattr("training.shards.SHARD", 8)
    return 8


def test_samples_of_several_files_are_in_order(pairs: Pairs, tmp_path: Path, few: int) -> None:
    whole = pictures(pairs, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == -(-36 // few)
    expected = [IMAGE.decode(Path(str(source)).read_bytes()) for source in pairs.sources["image"]]
    assert (whole == np.stack(expected)).all()
    kept = decode_all(Pairs(pairs.labels, {"image": pairs.sources["image"]}, *_rest(pairs)), {"image": IMAGE}, tmp_path)
    assert (kept["image"][-1] == expected[-1]).all()
    with pytest.raises(IndexError):
        kept["image"][36]


def test_what_an_interrupted_decoding_finished_is_not_decoded_again(
    pairs: Pairs, tmp_path: Path, counted: list[str], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        finished: list[tuple[Path, ...]] = []
        replaced = os.replace

        def interrupt(*paths: Path) -> None:
            if len(finished) == 3:
                raise KeyboardInterrupt
            replaced(*paths)
            finished.append(paths)

        patched.setattr("training.shards.os.replace", interrupt)
        pictures(pairs, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"] * 3, "nothing half-written"
    counted.clear()
    again = pictures(pairs, tmp_path / "cache")
    assert len(counted) == 36 - 3 * few
    assert (again == pictures(pairs, tmp_path / "other")).all()


def test_one_changed_sample_makes_only_its_file_stale(
    pairs: Pairs, tmp_path: Path, counted: list[str], few: int
) -> None:
    pictures(pairs, tmp_path / "cache")
    counted.clear()
    os.utime(Path(str(pairs.sources["image"][20])), ns=(1, 1))
    pictures(pairs, tmp_path / "cache")
    assert len(counted) == few


def test_of_samples_that_cannot_be_decoded_nothing_is_kept_and_the_others_not_decoded_again(
    pairs: Pairs, tmp_path: Path, counted: list[str], few: int
) -> None:
    source = Path(str(pairs.sources["image"][20]))
    content = source.read_bytes()
    source.write_bytes(b"")
    with pytest.raises(DataError, match=r"1 row of the table cannot be used:\n  row 20, image: expected a picture"):
        pictures(pairs, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == -(-36 // few) - 1
    counted.clear()
    source.write_bytes(content)
    pictures(pairs, tmp_path / "cache")
    assert len(counted) == few


def test_a_full_disk_is_an_error(pairs: Pairs, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written: File too large"):
            pictures(pairs, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
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
