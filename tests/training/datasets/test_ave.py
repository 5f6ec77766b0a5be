"""AVE as distributed: lists with and without header, odd ids and categories, contradicting repeats, events cut out."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import Audio, Video
from tests.bundle.media import clip
from tests.training.datasets.layouts import AVE_LINES, ave, seconds_of
from training.config import Config
from training.datasets._ave_events import cut
from training.datasets.ave import CLASSES, LISTED, VIDEOS, Ave, read_list
from training.errors import DataError
from training.pairs import Pairs

LABELS = ("Frying (food)", "Race car, auto racing")
"""Of the miniature, without the videos that are listed twice."""


def load(path: Path, **options: str) -> Pairs:
    return Ave(Ave.Options(path, **options)).load(Config())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ave(tmp_path_factory.mktemp("ave") / "AVE_Dataset", header=True)


@pytest.mark.parametrize("header", [True, False])
def test_lists_are_read_with_and_without_a_header(tmp_path: Path, header: bool) -> None:
    made = ave(tmp_path / "AVE_Dataset", header)
    pairs = load(made, stretch="clip")
    assert pairs.labels == LABELS
    assert [len(pairs.indices(split)) for split in ("train", "val", "test")] == [4, 2, 2]


def test_ids_may_begin_with_dashes(folder: Path) -> None:
    files = load(folder, stretch="clip").sources["video"]
    assert {path.name for path in files if isinstance(path, Path)} >= {"-aB_0.mp4", "--B_3.mp4"}


def test_videos_with_contradicting_labels_are_on_no_side(folder: Path) -> None:
    survey = Ave.survey([folder.parent])
    assert any("2 videos are listed 4 times" in remark for remark in survey.remarks)
    used = load(folder, stretch="clip").sources["video"]
    assert not {"both.mp4", "same.mp4"} & {path.name for path in used if isinstance(path, Path)}


def test_they_are_kept_as_published_where_that_is_asked_for(tmp_path: Path) -> None:
    made = ave(tmp_path / "AVE_Dataset", header=False)
    with (made / "trainSet.txt").open("a") as file:
        file.write("Female speech, woman speaking&more&good&0&10\n")
    (made / "AVE" / "more.mp4").write_bytes(seconds_of(10))
    pairs = load(made, stretch="clip", repeats="official")
    assert len(pairs.rows) == 1 + sum(len(lines) for lines in AVE_LINES.values()) and len(pairs.labels) == 4
    both = [index for index, path in enumerate(pairs.sources["video"]) if Path(str(path)).name == "both.mp4"]
    assert {str(pairs.splits[index]) for index in both} == {"train", "test"}


def test_the_events_must_have_been_cut_out(folder: Path) -> None:
    with pytest.raises(DataError, match=r"not cut out; `python -m training\.prepare ave .*--dataset\.stretch clip"):
        load(folder)


def test_an_event_is_cut_out_with_its_sound(tmp_path: Path) -> None:
    (tmp_path / "whole.mp4").write_bytes(seconds_of(10))
    cut(tmp_path / "whole.mp4", tmp_path / "event.mp4", 6, 8)
    payload = (tmp_path / "event.mp4").read_bytes()
    brightness = Video(4, 16).decode(payload).mean(axis=(1, 2, 3))
    assert np.allclose(brightness, [120, 120, 140, 140], atol=6)
    wave = Audio(8_000, 2.0, 256, 128, 16).decode(payload)
    pitches = [np.fft.rfft(half).__abs__().argmax() for half in (wave[500:7_500], wave[8_500:15_500])]
    assert np.allclose(pitches, [1_400 * 7 / 8, 1_600 * 7 / 8], atol=8)
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"


def test_a_clip_without_sound_is_cut_too(tmp_path: Path) -> None:
    (tmp_path / "whole.mp4").write_bytes(clip([np.full((32, 32, 3), 9 * step, np.uint8) for step in range(20)]))
    cut(tmp_path / "whole.mp4", tmp_path / "event.mp4", 1, 2)
    assert Video(1, 16).decode((tmp_path / "event.mp4").read_bytes()).mean() > 100


def test_a_stretch_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "whole.mp4").write_bytes(seconds_of(2))
    with pytest.raises(ValueError, match="no pictures from second 5 to 7"):
        cut(tmp_path / "whole.mp4", tmp_path / "event.mp4", 5, 7)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.mp4"]


def test_processing_cuts_what_is_shorter_than_the_clip_and_says_what_cannot_be_cut(tmp_path: Path) -> None:
    made = ave(tmp_path / "AVE_Dataset", header=False)
    (made / "AVE" / "aB_1.mp4").write_bytes(seconds_of(3))
    (made / "AVE" / "aB_7.mp4").write_bytes(b"no clip at all")
    done = Ave.process(Ave.survey([made]), tmp_path / "out")
    assert [line.split(":")[0] for line in done.missing] == ["aB_1", "aB_7"]
    paths = dict(zip(done.frame["id"], done.frame["video"], strict=True))
    assert Path(paths["-aB_0"]).parent.name == "AVE", "ten seconds are the clip itself"
    assert Path(paths["--B_3"]).name == "--B_3_2_5.mp4" and Path(paths["--B_3"]).parent.name == "events"
    assert Video(1, 16).decode(Path(paths["aB_6"]).read_bytes()).mean() < 15, "an event of no length is given a second"
    assert len(set(done.frame["clip"])) == 8 and (done.frame["audio"] == done.frame["video"]).all()


def test_absent_clips_are_named(tmp_path: Path) -> None:
    made = ave(tmp_path / "AVE_Dataset", header=False)
    (made / "AVE" / "aB_2.mp4").unlink()
    [line] = Ave.survey([made]).missing
    assert line.startswith("aB_2 (Frying (food)): no file")
    with pytest.raises(DataError, match=r"1 samples of .* are missing"):
        load(made, stretch="clip")


def test_clips_may_lie_in_another_folder(tmp_path: Path) -> None:
    made = ave(tmp_path / "lists", header=False)
    (made / "AVE").rename(tmp_path / "clips")
    assert not Ave.survey([made, tmp_path / "clips"]).missing


def test_annotations_that_differ_from_the_lists_are_remarked(tmp_path: Path) -> None:
    made = ave(tmp_path / "AVE_Dataset", header=True)
    with (made / "Annotations.txt").open("a") as file:
        file.write("Bark&other&good&0&4\n")
    assert "1 events differ between Annotations.txt and the three lists" in Ave.survey([made]).remarks


@pytest.mark.parametrize(
    "line", ["Bark,id,good,0,10", "Bark&id&good&0", "Bark&id&good&0&ten", "Bark&id&good&8&3", "&id&good&0&3"]
)
def test_a_line_that_is_no_event_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"Bark&x&good&0&10\n{line}\n")
    with pytest.raises(DataError, match=r"list\.txt: expected lines like"):
        read_list(tmp_path / "list.txt")


def test_no_lists_and_no_clips_say_where_to_obtain_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"trainSet\.txt and .*YapengTian/AVE-ECCV18"):
        load(tmp_path)
    made = ave(tmp_path / "AVE_Dataset", header=False)
    for path in (made / "AVE").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no clip that the lists name .*YapengTian/AVE-ECCV18"):
        load(made)


def test_the_published_lists_are_read_and_their_repeats_found(real_data: Path, tmp_path: Path) -> None:
    published = real_data / "lists" / "ave"
    (tmp_path / "AVE").mkdir()
    for name in ("trainSet.txt", "valSet.txt", "testSet.txt", "Annotations.txt"):
        (tmp_path / name).symlink_to(published / f"ave_{name}")
    events = {split: read_list(tmp_path / f"{split}Set.txt") for split in LISTED}
    assert {split: len(found) for split, found in events.items()} == LISTED
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    for event in read_list(tmp_path / "Annotations.txt"):
        path = tmp_path / "AVE" / f"{event.video}.mp4"
        if not path.exists():
            path.symlink_to(tmp_path / "clip.mp4")
    survey = Ave.survey([tmp_path])
    assert {count.what: count.found for count in survey.counts} == {
        **{f"events of {split}": number for split, number in LISTED.items()},
        "videos": VIDEOS,
        "classes": CLASSES,
    }
    assert all("as published" in count.line() for count in survey.counts) and not survey.missing
    [remark] = survey.remarks
    assert remark.startswith("45 videos are listed 91 times")
    pairs = load(tmp_path, stretch="clip")
    listed = Counter(event.video for found in events.values() for event in found)
    once = {split: sum(listed[event.video] == 1 for event in found) for split, found in events.items()}
    assert Counter(pairs.splits.tolist()) == once
    assert len(pairs.rows) == sum(LISTED.values()) - 91
