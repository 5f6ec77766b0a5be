"""AVE: ten-second clips in which something is both seen and heard; audio + video, 28 classes (Tian et al. 2018)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from training.config import AudioOptions, Config, VideoOptions
from training.datasets._ave_events import cut_events
from training.datasets._recipe import paper
from training.encoders.resnet import ResNet
from training.errors import DataError
from training.published import Published
from training.survey import Count, Survey, absence, first_with, framed, require

LISTS = {"train": "trainSet.txt", "val": "valSet.txt", "test": "testSet.txt"}
ANNOTATIONS = "Annotations.txt"
FIELDS = ["Category", "VideoID", "Quality", "StartTime", "EndTime"]
LISTED = {"train": 3_339, "val": 402, "test": 402}
VIDEOS, CLASSES, SECONDS = 4_097, 28, 10


@dataclass(frozen=True)
class Event:
    """A line of a list: what happens in a video, and when."""

    label: str
    video: str
    start: int
    end: int
    """Seconds from the clip's beginning."""


class Ave(Published):
    """Reads `AVE/<VideoID>.mp4` with the lists of train, val and test.

    45 videos are listed more than once, always with labels that contradict, and 18 of them in train and in val or test.
    """

    OBTAIN = (
        "AVE_Dataset.zip, linked from https://github.com/YapengTian/AVE-ECCV18 (4,097 clips of YouTube with "
        "Annotations.txt, trainSet.txt, valSet.txt and testSet.txt)"
    )

    @dataclass(frozen=True)
    class Options:
        """Where it is, and what of it is used."""

        path: Path
        """The folder of the lists, or one that `python -m training.prepare ave` wrote."""
        stretch: Literal["event", "clip"] = "event"
        """The annotated event alone, which preparing cuts out; or the ten seconds around it."""
        repeats: Literal["out", "official"] = "out"
        """Videos listed with contradicting labels: in no split; or as published, with 18 of them on two sides."""

    options: "Ave.Options"

    @classmethod
    def recipe(cls, config: Config) -> Config:
        """§4.1: ResNet-18 on spectrograms of 128 x 128 (10 seconds, mel) and 4 frames; 200 epochs."""
        network = ResNet.Options(depth=18)
        return replace(
            paper(config, ("audio", "video"), epochs=200, learning_rate=0.01),
            audio=AudioOptions(16_000, 10.0, 2_048, 1_259, 128, "resnet", network),
            video=VideoOptions(frames=4, pool=3, size=224, encoder="resnet", encoder_options=network),
        )

    @classmethod
    def survey(cls, folders: Sequence[Path]) -> Survey:
        """Every event of the three lists whose clip is there.

        Raises:
            DataError: no lists, a line that cannot be read, or lists that are not those of the annotations.
        """
        lists = require(folders, *LISTS.values(), obtain=cls.OBTAIN)
        clips = _clips(folders)
        events = {split: read_list(lists / name) for split, name in LISTS.items()}
        remarks = _compared(lists / ANNOTATIONS, [event for found in events.values() for event in found])
        rows, missing, names = [], [], []
        for split, found in events.items():
            for number, event in enumerate(found, 1):
                path = clips / f"{event.video}.mp4"
                problem = absence(path)
                if problem is not None:
                    missing.append(f"{event.video} ({event.label}): {problem}")
                    continue
                row = {"audio": str(path), "video": str(path), "label": event.label, "split": split}
                rows.append(row | {"id": event.video, "start": str(event.start), "end": str(event.end)})
                names.append(f"line {number} of {LISTS[split]}")
        if not rows:
            raise DataError(f"no clip that the lists name is in {clips}; to obtain them: {cls.OBTAIN}", missing[:20])
        frame = framed(rows, names)
        repeated = frame["id"][frame["id"].duplicated(keep=False)]
        if len(repeated):
            remarks.append(
                f"{repeated.nunique()} videos are listed {len(repeated)} times with contradicting labels; they are in "
                "no split unless --dataset.repeats official asks for them"
            )
        parts = frame["split"].value_counts()
        counts = [Count(f"events of {split}", int(parts.get(split, 0)), n) for split, n in LISTED.items()]
        counts += [Count("videos", frame["id"].nunique(), VIDEOS), Count("classes", frame["label"].nunique(), CLASSES)]
        return Survey(frame, ("audio", "video"), tuple(counts), tuple(missing), tuple(remarks))

    @classmethod
    def process(cls, survey: Survey, folder: Path) -> Survey:
        """Cut out the events; the column `clip` keeps the whole ten seconds."""
        frame = survey.frame.copy()
        frame["clip"] = frame["video"]
        found, broken = cut_events(frame, SECONDS, folder / "events")
        frame["audio"] = frame["video"] = found
        frame = frame[frame["video"] != ""]
        return replace(survey, frame=frame, media=("audio", "video", "clip"), missing=(*survey.missing, *broken))

    def arrange(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The chosen stretch of each clip; repeated videos as chosen.

        Raises:
            DataError: events were chosen and nothing has cut them out.
        """
        changed = frame.copy()
        if self.options.stretch == "clip":
            changed["audio"] = changed["video"] = changed["clip" if "clip" in changed else "video"]
        elif "clip" not in changed:
            raise DataError(
                f"the events of {self.options.path} are not cut out; `python -m training.prepare ave --from "
                f"{self.options.path} --to FOLDER` does it, or choose --dataset.stretch clip"
            )
        if self.options.repeats == "out":
            changed = changed[~changed["id"].duplicated(keep=False)]
            changed["group"] = changed["id"]
        return changed


def read_list(path: Path) -> list[Event]:
    """A list of events, one a line with `&` between the fields, with or without its header.

    Raises:
        DataError: lines that are no events.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if lines and lines[0].split("&") == FIELDS:
        del lines[0]
    events, wrong = [], []
    for line in lines:
        fields = [field.strip() for field in line.split("&")]
        try:
            label, video, _, start, end = fields
            event = Event(label, video, int(start), int(end))
        except ValueError:
            wrong.append(repr(line))
            continue
        if label and video and 0 <= event.start <= event.end <= SECONDS:
            events.append(event)
        else:
            wrong.append(repr(line))
    if wrong:
        raise DataError(f"{path}: expected lines like Church bell&RUhOCu3LNXM&good&0&10, found others:", wrong)
    return events


def _clips(folders: Sequence[Path]) -> Path:
    """Where the clips lie: a folder AVE, or the one folder that holds .mp4 files."""
    parent = first_with(folders, "AVE")
    if parent is not None:
        return parent / "AVE"
    return next((folder for folder in folders if next(folder.glob("*.mp4"), None)), folders[0])


def _compared(annotations: Path, events: list[Event]) -> list[str]:
    """A remark where the annotations are there and do not hold the same events as the three lists."""
    if not annotations.is_file():
        return []
    difference = sum(
        (
            (Counter(read_list(annotations)) - Counter(events)) + (Counter(events) - Counter(read_list(annotations)))
        ).values()
    )
    return [f"{difference} events differ between {ANNOTATIONS} and the three lists"] if difference else []
