"""CREMA-D as distributed: its names, two kinds of sound, lists of three origins, and a split by speakers."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.training.datasets.layouts import EMOTIONS, POINTER, cremad, cremad_names, ogm_lists
from training.config import Config
from training.datasets._cremad_lists import read_lists
from training.datasets.cremad import ACTORS, CLIPS, LISTED, NAME, CremaD, speaker_split
from training.errors import DataError
from training.pairs import Pairs, payload

NAMES = cremad_names()


def load(path: Path, **options: str) -> Pairs:
    return CremaD(CremaD.Options(path, **options)).load(Config())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with OGM-GE's lists beside it."""
    made = cremad(tmp_path_factory.mktemp("cremad") / "CREMA-D", NAMES)
    ogm_lists(made / "lists", NAMES)
    return made


def test_the_official_split_is_that_of_the_lists(folder: Path) -> None:
    pairs = load(folder)
    assert pairs.labels == EMOTIONS and list(pairs.sources) == ["audio", "video"]
    assert {pairs.rows[index] for index in pairs.indices("test")} == set(NAMES[::5])
    assert len(pairs.rows) == len(NAMES) and len(pairs.indices("val")) > 0
    assert [pairs.labels[target] for target in pairs.targets] == [row.split("_")[2] for row in pairs.rows]


def test_validation_is_a_tenth_of_the_training_clips_of_each_class(folder: Path) -> None:
    once, again = load(folder), load(folder)
    counts = Counter(once.targets[once.indices("val")].tolist())
    assert set(counts.values()) == {1} and len(counts) == 6
    assert once.splits.tolist() == again.splits.tolist()


def test_speakers_are_kept_apart_where_that_is_asked_for(folder: Path) -> None:
    pairs = load(folder, split="speaker")
    actors = {
        split: {pairs.rows[index].split("_")[0] for index in pairs.indices(split)} for split in ("train", "val", "test")
    }
    assert all(len(found) == 3 for found in actors.values()) and len(set.union(*actors.values())) == 9
    assert len(set(pairs.groups.tolist())) == 9


def test_the_split_by_speakers_depends_on_no_clip_and_holds_for_all_91() -> None:
    everyone = pd.Series([str(number) for number in range(1001, 1092)])
    assert Counter(speaker_split(everyone)) == {"train": 63, "val": 14, "test": 14}
    assert speaker_split(everyone[::-1])[::-1] == speaker_split(everyone)
    assert speaker_split(everyone[5:7]) == speaker_split(everyone)[5:7]


def test_sound_comes_from_the_wav_or_from_the_clip(folder: Path) -> None:
    files = [load(folder, sound=kind).sources["audio"] for kind in ("wav", "flv")]
    assert [str(kind[0])[-4:] for kind in files] == [".wav", ".flv"]
    assert [str(payload(kind[0]))[2:5] for kind in files] == ["RIF", "FLV"]


def test_without_the_wav_folder_the_clips_are_heard(tmp_path: Path) -> None:
    made = cremad(tmp_path / "bare", NAMES, wav=False)
    survey = CremaD.survey([made])
    assert "has no AudioWAV" in survey.remarks[0]
    assert (survey.frame["audio"] == survey.frame["video"]).all()


def test_lists_may_lie_in_another_folder(tmp_path: Path) -> None:
    made, lists = cremad(tmp_path / "repository", NAMES), ogm_lists(tmp_path / "lists", NAMES)
    assert set(CremaD.survey([made, lists]).frame["split"]) == {"train", "test"}


def test_the_lists_of_d_and_r_bring_a_header_and_a_validation_part(tmp_path: Path) -> None:
    made = cremad(tmp_path / "repository", NAMES)
    ogm_lists(made / "lists", NAMES)
    listed = [name for number, name in enumerate(NAMES) if number % 5]
    for title, part in (("my_train", listed[6:]), ("val", listed[:6])):
        lines = ["name,label", *(f"{name},{name.split('_')[2]}" for name in part)]
        (made / "lists" / f"{title}.csv").write_text("\n".join(lines))
    pairs = load(made)
    assert {pairs.rows[index] for index in pairs.indices("val")} == set(listed[:6])
    assert {pairs.rows[index] for index in pairs.indices("test")} == set(NAMES[::5])


def test_without_lists_the_official_split_is_refused_and_that_by_speakers_is_not(tmp_path: Path) -> None:
    made = cremad(tmp_path / "repository", NAMES)
    with pytest.raises(DataError, match=r"GeWu-Lab/OGM-GE_CVPR2022.*--dataset\.split speaker"):
        load(made)
    assert len(load(made, split="speaker").rows) == len(NAMES)


def test_absent_empty_and_unfetched_files_are_named(tmp_path: Path) -> None:
    made = cremad(tmp_path / "repository", NAMES)
    ogm_lists(made / "lists", [*NAMES, "1091_IEO_SAD_MD"])
    (made / "VideoFlash" / f"{NAMES[0]}.flv").unlink()
    (made / "AudioWAV" / f"{NAMES[1]}.wav").write_bytes(b"")
    (made / "VideoFlash" / f"{NAMES[2]}.flv").write_bytes(POINTER)
    missing = CremaD.survey([made]).missing
    assert [line.split(":")[0] for line in missing] == [*sorted(NAMES[:3]), "1091_IEO_SAD_MD"]
    assert any("is empty" in line for line in missing) and any("git lfs pull" in line for line in missing)
    with pytest.raises(DataError, match=r"4 samples .* are missing; `python -m training\.prepare .* --from"):
        load(made)


def test_a_clip_of_another_name_is_refused(tmp_path: Path) -> None:
    made = cremad(tmp_path / "repository", [*NAMES, "1001_IEO_JOY_XX"])
    with pytest.raises(DataError, match="1001_IEO_JOY_XX"):
        load(made)


def test_a_folder_without_clips_says_where_to_obtain_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"VideoFlash in .*CheyneyComputerScience/CREMA-D"):
        load(tmp_path)
    with pytest.raises(
        DataError, match=r"found none; .*training\.prepare .* to obtain it: .*CheyneyComputerScience/CREMA-D"
    ):
        load(tmp_path / "nowhere")
    (tmp_path / "VideoFlash").mkdir()
    with pytest.raises(DataError, match=r"no clip of .* is whole"):
        load(tmp_path)


@pytest.mark.parametrize("line", ["1001_IEO_ANG_XX,SAD", "1001_IEO_ANG_XX", "clip,ANG", "name,emotion"])
def test_a_list_that_contradicts_the_names_is_refused(tmp_path: Path, line: str) -> None:
    ogm_lists(tmp_path, NAMES)
    with (tmp_path / "test.csv").open("a") as file:
        file.write(f"{line}\r\n")
    with pytest.raises(DataError, match=r"test\.csv, clip \d+: expected a clip and its emotion"):
        read_lists([tmp_path], NAME)


def test_a_clip_in_two_lists_is_refused(tmp_path: Path) -> None:
    ogm_lists(tmp_path, NAMES)
    with (tmp_path / "test.csv").open("a") as file:
        file.write(f"{NAMES[1]},{NAMES[1].split('_')[2]}\r\n")
    with pytest.raises(DataError, match=f"each clip in one list, found {NAMES[1]} in train too"):
        read_lists([tmp_path], NAME)


def test_the_published_lists_are_read(real_data: Path, tmp_path: Path) -> None:
    published = real_data / "lists" / "cremad"
    for title in ("train", "test"):
        (tmp_path / f"{title}.csv").symlink_to(published / f"cremad_ogmge_{title}.csv")
    lists = read_lists([tmp_path], NAME)
    assert Counter(lists.values()) == LISTED and len(lists) == CLIPS
    assert Counter(clip.split("_")[2] for clip in lists) == {**dict.fromkeys(EMOTIONS, 1271), "NEU": 1087}
    actors = {split: {clip[:4] for clip, part in lists.items() if part == split} for split in LISTED}
    assert len(actors["train"]) == len(actors["test"]) == ACTORS, "the official split is not by speakers"
    for title in ("my_train", "val"):
        (tmp_path / f"{title}.csv").symlink_to(published / f"cremad_dr_{title}.csv")
    divided = read_lists([tmp_path], NAME)
    assert Counter(divided.values()) == {"train": 5954, "val": 744, "test": 744}
    assert {clip for clip in divided if divided[clip] != "test"} == {clip for clip in lists if lists[clip] == "train"}


def test_genuine_clips_are_read(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "VideoFlash").mkdir()
    for path in (real_data / "media").glob("1001_*.flv"):
        (tmp_path / "VideoFlash" / path.name).symlink_to(path)
    frame = CremaD.survey([tmp_path]).frame
    assert sorted(frame["label"]) == list(EMOTIONS) and set(frame["actor"]) == {"1001"}
