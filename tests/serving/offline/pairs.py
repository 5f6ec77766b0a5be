"""Tables of generated pairs, some of them broken, and the bundle that answers them."""

import csv
from pathlib import Path

import numpy as np

from tests.bundles import build_bundle, tiny_modality

TEXTS = ("red house", "green river", "a house by the green river, red", "red")
MEDIA = 7
COLUMNS = ("id", "image", "text", "label")


def build(folder: Path) -> Path:
    """The bundle, `media/0.png` and so on, and one file that is no picture."""
    bundle = build_bundle(folder / "bundle", ("image", "text"))
    generator, image = np.random.default_rng(1), tiny_modality("image")
    (folder / "media").mkdir()
    for number in range(MEDIA):
        (folder / f"media/{number}.png").write_bytes(image.example(generator))
    (folder / "media/bad.png").write_bytes(b"no picture at all")
    return bundle


def row(number: int, broken: int) -> tuple[str, str, str, str]:
    """The cells of a row; every `broken`-th one has one of four faults, and some that are well lack a modality."""
    image, text = f"media/{number % MEDIA}.png", TEXTS[number % len(TEXTS)]
    if broken and number % broken == broken - 1:
        image, text = [("media/bad.png", text), ("media/none.png", text), (" ", ""), ("media", text)][
            number // broken % 4
        ]
    elif number % 11 == 3:
        image = ""
    elif number % 11 == 7:
        text = ""
    return f"n{number}", image, text, "star"


def write(path: Path, rows: int, broken: int = 10) -> Path:
    """A table of so many rows, as its name says in CSV or Parquet."""
    cells = [row(number, broken) for number in range(rows)]
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        columns = dict(zip(COLUMNS, map(list, zip(*cells, strict=True)), strict=True))
        parquet.write_table(pyarrow.table(columns), path, row_group_size=64)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(cells)
    return path
