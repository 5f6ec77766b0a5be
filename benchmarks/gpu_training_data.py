"""What training on an accelerator is measured on: the paper's recipes with random first weights, on real data."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bundle.modalities import Array
from training.config import Config
from training.datasets.cremad import CremaD
from training.datasets.food101 import Food101
from training.datasets.gbmlgg import GbmLgg
from training.datasets.table import Table
from training.encoders.transformer import Transformer
from training.encoders.vit import VisionTransformer
from training.fit import prepare
from training.preparation import Prepared

ROW = "row"


@dataclass(frozen=True)
class Pairing:
    """Two modalities, the real data they are taken from, and the paper's encoders for them."""

    folder: str
    """Of the real data, with a `table.csv`."""
    files: tuple[str, ...]
    """Columns of its table that hold paths."""
    recipe: Callable[[Config], Config]
    """The paper's options for a dataset of these modalities."""
    small: Callable[[Config], Config]
    """The same encoders on inputs so small that a processor runs them: to check the program, not to measure."""


def _scratch(config: Config) -> Config:
    """Food-101's recipe: ViT-B/16 and BERT-base, from random weights."""
    found = Food101.recipe(config)
    text = replace(found.text.encoder_options, pretrained=None)
    return replace(
        found,
        image=replace(found.image, encoder_options=VisionTransformer.Options()),
        text=replace(found.text, encoder_options=text),
    )


def _small_clips(config: Config) -> Config:
    return replace(config, audio=replace(config.audio, seconds=0.3), video=replace(config.video, frames=2, size=32))


def _small_titles(config: Config) -> Config:
    vision = VisionTransformer.Options(width=32, layers=2, heads=2, patch=8)
    language = Transformer.Options(width=32, layers=2, heads=2, pool="first")
    return replace(
        config,
        image=replace(config.image, size=32, encoder_options=vision),
        text=replace(config.text, encoder_options=language),
    )


def _small_tiles(config: Config) -> Config:
    return replace(config, pathology=replace(config.pathology, size=32))


PAIRINGS = {
    "audio-video": Pairing("grid_colour", ("audio", "video"), CremaD.recipe, _small_clips),
    "image-text": Pairing("openclipart", ("image",), _scratch, _small_titles),
    "pathology-genomics": Pairing("her2st", ("pathology",), GbmLgg.recipe, _small_tiles),
}


def pack(source: Path, target: Path, samples: int, seed: int = 0) -> dict[str, int]:
    """Copy a part of every set: `samples` training rows with their files, and an eighth as many of val and of test.

    Args:
        source: folder of the real sets.
        target: folder for the parts, laid out alike.
        samples: training rows of each set; those there are, where they are fewer.
        seed: of the choice.

    Returns:
        Bytes by set.
    """
    sizes = {}
    for pairing in PAIRINGS.values():
        table = pd.read_csv(source / pairing.folder / "table.csv", dtype=str, keep_default_na=False)
        wanted = {"train": samples, "val": samples // 8, "test": samples // 8}
        parts = [_chosen(rows, wanted[str(split)], seed) for split, rows in table.groupby("split")]
        chosen = pd.concat(parts).sort_index()
        folder = target / pairing.folder
        for path in chosen[list(pairing.files)].to_numpy().ravel():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / pairing.folder / path, folder / path)
        chosen.to_csv(folder / "table.csv", index=False)
        sizes[pairing.folder] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sizes


def _chosen(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Rows at random, but two of each class before any others: a class with one cannot be trained on."""
    shuffled = rows.sample(frac=1.0, random_state=seed)
    later = shuffled.groupby("label").cumcount() >= 2
    return pd.concat([shuffled[~later], shuffled[later]]).head(count)


def configured(pairing: Pairing, data: Path, out: Path, small: bool) -> Config:
    """The paper's options for this pairing, on the table in `data`, with everything written to `out`."""
    config = pairing.recipe(Config())
    table = Table.Options(data / pairing.folder / "table.csv")
    config = replace(config, dataset="table", dataset_options=table, out=out / "run", cache=out / "cache")
    return pairing.small(config) if small else config


class Rows(Sequence[Array]):
    """Decoded samples in another order, any of them more than once."""

    def __init__(self, arrays: Sequence[Array], order: NDArray[np.int64]) -> None:
        self.arrays = arrays
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]
        """One sample, or a list of several."""
        chosen = self.order[position]
        return self.arrays[chosen] if chosen.ndim == 0 else [self.arrays[index] for index in chosen]


def prepared(config: Config, samples: int) -> Prepared:
    """Every row checked and decoded; the training rows then come again and again, until an epoch has `samples`.

    So an epoch is as long as one of a large dataset, though little is taken along. A row that comes again is of the
    group that it was, hence no negative of itself, and is augmented anew.
    """
    found = prepare(config)
    pairs = found.pairs
    others = np.flatnonzero(pairs.splits != "train")
    order = np.concatenate([np.resize(pairs.indices("train"), samples), others])
    longer = replace(
        pairs,
        sources={name: [sources[index] for index in order] for name, sources in pairs.sources.items()},
        targets=pairs.targets[order],
        groups=pairs.groups[order],
        splits=pairs.splits[order],
        rows=[pairs.rows[index] for index in order],
        columns={},
    )
    return Prepared(longer, found.modalities, {name: Rows(arrays, order) for name, arrays in found.arrays.items()})
