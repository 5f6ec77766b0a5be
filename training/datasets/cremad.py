"""CREMA-D: actors speak twelve sentences in six emotions; audio + video (Cao et al. 2014, ODbL)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from training.config import AudioOptions, Config, VideoOptions
from training.datasets._cremad_lists import read_lists, without_lists
from training.datasets._recipe import paper
from training.encoders.resnet import ResNet
from training.errors import DataError
from training.published import Published
from training.splitting import held_out
from training.survey import Count, Survey, absence, framed, require

NAME = re.compile(r"(1\d{3})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX)")
"""Actor, sentence, emotion, level."""
CLIPS, ACTORS = 7_442, 91
LISTED = {"train": 6_698, "test": 744}
"""Of the official split."""
SOUND, SIGHT = "AudioWAV", "VideoFlash"
VALIDATION = 0.1
"""Share of the official training clips that become val where the lists name none."""
HELD_OUT = 0.15
"""Share of the actors in each of val and test of the speaker-independent split."""


class CremaD(Published):
    """Reads `VideoFlash/*.flv` and `AudioWAV/*.wav` of the repository; the label is the emotion that was acted.

    The official split is by clips: every actor is in both of its parts, so it says nothing about new speakers.
    """

    OBTAIN = (
        "git clone https://github.com/CheyneyComputerScience/CREMA-D with Git LFS (7,442 clips, ODbL), and "
        "for the official split train.csv and test.csv of data/CREMAD in "
        "https://github.com/GeWu-Lab/OGM-GE_CVPR2022, in the same folder or one in it"
    )

    @dataclass(frozen=True)
    class Options:
        """Where it is, and how it is divided."""

        path: Path
        """The repository's folder, or one that `python -m training.prepare cremad` wrote."""
        split: Literal["official", "speaker"] = "official"
        """The published lists, whose speakers are all in both parts; or 63, 14 and 14 speakers for train, val, test."""
        sound: Literal["wav", "flv"] = "wav"
        """The sound files, or the sound track of the clips."""

    options: "CremaD.Options"

    @classmethod
    def recipe(cls, config: Config) -> Config:
        """§4.1: ResNet-18 on spectrograms of 224 x 224 (3 seconds, linear frequency) and 3 frames; 200 epochs."""
        network = ResNet.Options(depth=18)
        return replace(
            paper(config, ("audio", "video"), epochs=200, learning_rate=0.01),
            audio=AudioOptions(16_000, 3.0, 446, 215, 0, "resnet", network),
            video=VideoOptions(frames=3, pool=3, size=224, encoder="resnet", encoder_options=network),
        )

    @classmethod
    def survey(cls, folders: Sequence[Path]) -> Survey:
        """Every clip of the folder, its actor, and its part of the published split where the lists are there.

        Raises:
            DataError: no such folder, files of other names, or lists that contradict the names.
        """
        root = require(folders, SIGHT, obtain=cls.OBTAIN)
        with_sound = (root / SOUND).is_dir()
        names = {path.stem for path in (root / SIGHT).glob("*.flv")}
        if with_sound:
            names |= {path.stem for path in (root / SOUND).glob("*.wav")}
        strange = sorted(name for name in names if not NAME.fullmatch(name))
        if strange:
            raise DataError(
                "expected names like 1001_DFA_ANG_XX (actor, sentence, emotion, level), found others:", strange
            )
        lists = read_lists(folders, NAME)
        rows, missing = [], []
        for name in sorted(names | set(lists)):
            video = root / SIGHT / f"{name}.flv"
            audio = root / SOUND / f"{name}.wav" if with_sound else video
            problems = list(dict.fromkeys(problem for path in (video, audio) if (problem := absence(path))))
            if problems:
                missing.append(f"{name}: {', '.join(problems)}")
                continue
            row = {"clip": name, "audio": str(audio), "video": str(video), "label": name.split("_")[2]}
            rows.append(row | {"split": lists.get(name, ""), "actor": name.split("_")[0]})
        if not rows:
            raise DataError(f"no clip of {root} is whole; to obtain them: {cls.OBTAIN}", missing[:20])
        remarks = [] if with_sound else [f"{root} has no {SOUND}: the sound is that of the clips"]
        if lists:
            rows, unlisted = [row for row in rows if row["split"]], [row["clip"] for row in rows if not row["split"]]
            missing += [f"{name}: in no list of the official split" for name in unlisted]
            remarks.append("the official split has the same actors in train and test")
        else:
            rows = [{key: cell for key, cell in row.items() if key != "split"} for row in rows]
            remarks.append("no lists of the official split are there: only --dataset.split speaker can be used")
        frame = framed(rows, [row["clip"] for row in rows])
        return Survey(frame, ("audio", "video"), _counts(frame, lists), tuple(missing), tuple(remarks))

    def arrange(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The chosen split, with groups that do not straddle it, and the chosen sound.

        Raises:
            DataError: the official split was chosen and is not there.
        """
        changed = frame.copy()
        if self.options.sound == "flv":
            changed["audio"] = changed["video"]
        if self.options.split == "speaker":
            changed["split"], changed["group"] = speaker_split(changed["actor"]), changed["actor"]
            return changed
        if "split" not in frame.columns:
            raise DataError(without_lists())
        changed["group"] = changed["clip"]
        if "val" not in set(changed["split"]):
            train = changed["split"] == "train"
            val = held_out(changed["clip"][train].tolist(), changed["label"][train].tolist(), VALIDATION)
            changed.loc[train, "split"] = np.where(val, "val", "train")
        return changed


def speaker_split(actors: pd.Series) -> list[str]:
    """The part of each actor: of all 91 that there are, so that it does not depend on which clips are there."""
    everyone = [str(number) for number in range(1001, 1001 + ACTORS)]
    test = set(np.asarray(everyone)[held_out(everyone, [""] * ACTORS, HELD_OUT)])
    rest = [actor for actor in everyone if actor not in test]
    val = set(np.asarray(rest)[held_out(rest, [""] * len(rest), HELD_OUT * ACTORS / len(rest))])
    return ["test" if actor in test else "val" if actor in val else "train" for actor in actors]


def _counts(frame: pd.DataFrame, lists: dict[str, str]) -> tuple[Count, ...]:
    found = [Count("clips", len(frame), CLIPS), Count("actors", frame["actor"].nunique(), ACTORS)]
    if lists:
        parts = frame["split"].replace("val", "train").value_counts()
        found += [Count(f"clips of the official {name}", int(parts.get(name, 0)), n) for name, n in LISTED.items()]
    return tuple(found)
