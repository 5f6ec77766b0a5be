"""Open Clip Art: public domain drawings with their artists' titles; image + text, 11 classes (Debian packages)."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from training.config import Config, ImageOptions, TextOptions
from training.datasets._openclipart_series import Drawing, series_of
from training.encoders.convolutional import Convolutional
from training.encoders.transformer import Transformer
from training.errors import DataError
from training.methods.infobridge import InfoBridge
from training.published import Published
from training.splitting import held_out
from training.survey import Count, Survey, absence, framed

PACKAGES = ("openclipart-png", "openclipart-svg")
WITHIN = ("", "openclipart", "usr/share/openclipart", "share/openclipart")
"""Where in a folder, or in an unpacked package, png and svg lie."""
CLASSES = (
    *("animals", "buildings", "food", "geography", "office", "people", "plants", "recreation", "signs_and_symbols"),
    *("tools", "transportation"),
)
"""Folders that are a topic and have seventy drawings: the others are small, sets of icons and shapes, or "unsorted"."""
DRAWINGS = 3_769
"""Of these classes, in version 0.18."""
LONG = 20
"""Drawings of a series that is too long for val and test: one artist's pack of cards would decide the figures."""
SHARES = {"test": 0.15, "val": 0.15}


class OpenClipart(Published):
    """Reads the pictures of `png/<class>/…` with the titles in `svg/<class>/…`; whole series lie in one split.

    The keywords that stand in the same files are never used: they name the folder.
    """

    OBTAIN: ClassVar[str] = (
        f"`apt-get download {' '.join(PACKAGES)}` on Debian or Ubuntu, without root, or https://packages.debian.org/ "
        "from anywhere: give the .deb files, or what is unpacked of them, with --from"
    )

    @dataclass(frozen=True)
    class Options:
        """Where it is."""

        path: Path = Path("openclipart-data")
        """A folder that `python -m training.prepare openclipart` wrote, or one of the packages' content."""

    options: "OpenClipart.Options"

    @classmethod
    def recipe(cls, config: Config) -> Config:
        """Small inputs and encoders, from nothing: about a minute on two cores.

        The variant of InfoBridge is ours, since with the paper's the pictures stay unlearned beside the titles.
        """
        return replace(
            config,
            modalities=("image", "text"),
            epochs=8,
            learning_rate=3e-3,
            method_options=InfoBridge.Options(variant="protected"),
            image=ImageOptions(size=48, fit="pad", encoder_options=Convolutional.Options(width=96, blocks=4)),
            text=TextOptions(max_length=16, vocabulary=3_000, encoder_options=Transformer.Options(width=64, layers=1)),
        )

    @classmethod
    def fetch(cls, folder: Path) -> list[Path]:
        """Download the two packages with apt, unless they are there.

        Raises:
            DataError: there is no apt, or it cannot; says what to do instead.
        """
        apt = shutil.which("apt-get")
        wanted = [name for name in PACKAGES if not list(folder.glob(f"{name}_*.deb"))]
        if wanted and apt is None:
            raise DataError(
                f"expected apt-get to download {' and '.join(wanted)}, found none; to obtain it: {cls.OBTAIN}"
            )
        if wanted and apt is not None:
            folder.mkdir(parents=True, exist_ok=True)
            done = subprocess.run([apt, "download", *wanted], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
                raise DataError(
                    f"apt-get download {' '.join(wanted)} failed: {said} (`apt-get update` may help); to obtain it "
                    f"otherwise: {cls.OBTAIN}"
                )
        return [next(iter(sorted(folder.glob(f"{name}_*.deb")))) for name in PACKAGES]

    @classmethod
    def survey(cls, folders: Sequence[Path]) -> Survey:
        """Every titled drawing of the classes, its series and its split.

        Raises:
            DataError: no pictures, or no titles.
        """
        pictures, titles = (_place(folders, name) for name in ("png", "svg"))
        if pictures is None or titles is None:
            looked = ", ".join(map(str, folders))
            raise DataError(
                f"expected folders png and svg in {looked}, not both are there; to obtain them: {cls.OBTAIN}"
            )
        found, missing, untitled = [], [], 0
        for name in CLASSES:
            for path in sorted((pictures / name).rglob("*.png")):
                place = str(path.relative_to(pictures)).removesuffix(".png")
                drawn = titles / f"{place}.svg"
                problem = absence(path) or absence(drawn)
                if problem is not None:
                    missing.append(f"{place}: {problem}")
                    continue
                drawing = Drawing.read(path, drawn, place)
                untitled += not drawing.title
                found.append(drawing)
        kept, twice = _unambiguous([drawing for drawing in found if drawing.title])
        if not kept:
            raise DataError(
                f"expected drawings of {', '.join(CLASSES)} in {pictures}, found none; {cls.OBTAIN}", missing[:20]
            )
        series = series_of(kept)
        rows = [
            {"image": str(drawing.path), "text": drawing.title, "label": drawing.label, "group": name}
            for drawing, name in zip(kept, series, strict=True)
        ]
        frame = framed(rows, [drawing.place for drawing in kept])
        frame["split"] = _splits(frame)
        remarks = [
            f"{untitled} drawings have no title, {twice} are copies of others, and are left out",
            f"series of over {LONG} drawings are all in train",
        ]
        return Survey(frame, ("image",), (Count("drawings", len(found), DRAWINGS),), tuple(missing), tuple(remarks))


def _place(folders: Sequence[Path], name: str) -> Path | None:
    """Where the folder of one kind of files is."""
    places = (folder / within / name for folder in folders for within in WITHIN)
    return next((place for place in places if (place / CLASSES[0]).is_dir()), None)


def _unambiguous(drawings: Sequence[Drawing]) -> tuple[list[Drawing], int]:
    """Each picture once, and none that lies in the folders of two classes; and how many that leaves out."""
    first: dict[str, Drawing] = {}
    labels: dict[str, set[str]] = {}
    for drawing in drawings:
        first.setdefault(drawing.digest, drawing)
        labels.setdefault(drawing.digest, set()).add(drawing.label)
    kept = [drawing for drawing in first.values() if len(labels[drawing.digest]) == 1]
    return kept, len(drawings) - len(kept)


def _splits(frame: pd.DataFrame) -> pd.Series:
    """Test and val from the short series of each class, by their names; the rest is train."""
    sizes = frame["group"].map(frame["group"].value_counts())
    splits = pd.Series("train", index=frame.index)
    for name, share in SHARES.items():
        left = (splits == "train") & (sizes <= LONG)
        now = share * len(frame) / max(1, int(left.sum()))
        taken = held_out(frame["group"][left].tolist(), frame["label"][left].tolist(), now)
        splits[left] = np.where(taken, name, "train")
    return splits
