"""UPMC Food-101: pictures of dishes with the titles of the pages they stood on; image + text, 101 classes."""

import csv
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from training.config import Config, ImageOptions, TextOptions
from training.datasets._recipe import paper
from training.encoders.transformer import Transformer
from training.encoders.vit import VisionTransformer
from training.errors import DataError
from training.published import Published
from training.splitting import held_out
from training.survey import Count, Survey, absence, framed, require

TITLES = {"train": ("train_titles.csv", "train.csv"), "test": ("test_titles.csv", "test.csv")}
"""The tables of the titles: as first distributed, and as they also circulate, with a header and a number before."""
LISTED = {"train": 67_988, "test": 22_716}
CLASSES = 101
VALIDATION = 0.1
"""Share of the training pictures that become val."""
UNESCAPES = 3
"""How often a title may have been escaped: some are &amp;#8217; for an apostrophe."""


@dataclass(frozen=True)
class Title:
    """A row of a titles table."""

    image: str
    """As it stands there: a file name, or a path."""
    text: str
    label: str


class Food101(Published):
    """Reads `images/<split>/<class>/<name>.jpg` with `texts/train_titles.csv` and `texts/test_titles.csv`.

    Titles stand as they are but for HTML entities. Many name the dish: text alone is right in about 85 % of them.
    """

    OBTAIN = (
        "https://www.kaggle.com/datasets/gianmarco96/upmcfood101 (90,704 pictures in images/, titles in texts/); "
        "Kaggle asks for an account"
    )

    @dataclass(frozen=True)
    class Options:
        """Where it is."""

        path: Path
        """The folder that holds images and texts, or one that `python -m training.prepare food101` wrote."""

    options: "Food101.Options"

    @classmethod
    def recipe(cls, config: Config) -> Config:
        """§4.1: ViT-B/16 and BERT-base, pretrained; 100 epochs. `--image.encoder.pretrained None` is from scratch."""
        base = Transformer.Options(pretrained="bert-base-uncased", width=768, layers=12, heads=12, pool="first")
        vision = VisionTransformer.Options(pretrained="google/vit-base-patch16-224-in21k")
        return replace(
            paper(config, ("image", "text"), epochs=100, learning_rate=0.001),
            image=ImageOptions(224, "crop", 3, "vit", vision),
            text=TextOptions(max_length=64, vocabulary=30_522, encoder="transformer", encoder_options=base),
        )

    @classmethod
    def survey(cls, folders: Sequence[Path]) -> Survey:
        """Every titled picture that is there.

        Raises:
            DataError: no such folder, or rows of the titles that cannot be read.
        """
        root = require(folders, "images", "texts", obtain=cls.OBTAIN)
        rows, missing, names = [], [], []
        changed = {"unescaped": 0, "renamed": 0}
        for split, candidates in TITLES.items():
            table = next((root / "texts" / name for name in candidates if (root / "texts" / name).is_file()), None)
            if table is None:
                raise DataError(f"expected {' or '.join(candidates)} in {root / 'texts'}, found neither")
            for number, title in enumerate(read_titles(table), 1):
                path, problem = _picture(root / "images", split, title)
                text = unescaped(title.text)
                if problem is None and not text:
                    problem = f"the title is empty in {table.name}"
                if problem is not None:
                    missing.append(f"{title.image} ({title.label}): {problem}")
                    continue
                changed["unescaped"] += html.unescape(title.text) != title.text
                changed["renamed"] += title.image.endswith(".txt")
                rows.append({"image": str(path), "text": text, "label": title.label, "split": split})
                names.append(f"title {number} of {table.name}")
        if not rows:
            raise DataError(f"no picture that the titles name is in {root}; to obtain them: {cls.OBTAIN}", missing[:20])
        frame = framed(rows, names)
        parts = frame["split"].value_counts()
        counts = [Count(f"pairs of {split}", int(parts.get(split, 0)), n) for split, n in LISTED.items()]
        counts.append(Count("classes", frame["label"].nunique(), CLASSES))
        remarks = [f"{changed['unescaped']} titles had HTML entities, {changed['renamed']} pictures are listed as .txt"]
        return Survey(frame, ("image",), tuple(counts), tuple(missing), (*remarks, *_untitled(root / "images", frame)))

    def arrange(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A tenth of the training pictures become val, by name, so that test is the published one."""
        changed = frame.copy()
        train = changed["split"] == "train"
        pictures = [PurePosixPath(path).name for path in changed["image"][train]]
        val = held_out(pictures, changed["label"][train].tolist(), VALIDATION)
        changed.loc[train, "split"] = np.where(val, "val", "train")
        return changed


def read_titles(table: Path) -> list[Title]:
    """The rows of a titles table, with or without header and number; commas and line ends inside quotes are text.

    Raises:
        DataError: rows that are not picture, title and class.
    """
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = [row for row in csv.reader(file) if row]
    width = 3
    if rows and rows[0][-3:] == ["image_path", "text", "food"]:
        width = len(rows.pop(0))
    wrong = [f"row {number}: {len(row)} cells" for number, row in enumerate(rows, 1) if len(row) != width]
    if wrong:
        raise DataError(f"{table}: expected picture, title and class in each row, found others:", wrong)
    return [Title(row[-3].strip(), row[-2].strip(), row[-1].strip()) for row in rows]


def unescaped(text: str) -> str:
    """A title without HTML entities, its white space made single."""
    for _ in range(UNESCAPES):
        text, before = html.unescape(text), text
        if text == before:
            break
    return " ".join(text.split())


def _picture(images: Path, split: str, title: Title) -> tuple[Path, str | None]:
    """Where the picture of a title is, and what is wrong with it; a listed .txt stands for the .jpg."""
    named = PurePosixPath(title.image)
    name = named.with_suffix(".jpg").name if named.suffix == ".txt" else named.name
    path = images / split / title.label / name
    return path, absence(path)


def _untitled(images: Path, frame: pd.DataFrame) -> list[str]:
    """A remark where there are pictures that no title names."""
    there = sum(1 for split in TITLES for _ in (images / split).glob("*/*.jpg"))
    return [f"{there - len(frame)} pictures have no title and are not used"] if there > len(frame) else []
