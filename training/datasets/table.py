"""Your own data: a CSV or Parquet file with a column for each modality and a label column."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bundle.modalities import MODALITIES
from training.config import Config
from training.dataset import Dataset
from training.errors import DataError
from training.frame import codes, genes, present_column, read_frame
from training.pairs import SPLITS, Pairs, Source
from training.splitting import assign

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLIT_NAMES |= {"test": "test", "testing": "test"}


class Table(Dataset):
    """Reads a table. Paths in it are relative to the table's folder, or absolute.

    A modality is used where its column is: one named like the modality, or the one you name. Genomics is not one column
    but all those with a prefix, in this table or in a second one joined on a key.
    """

    @dataclass(frozen=True)
    class Options:
        """Where the data is."""

        path: Path
        """The CSV or Parquet file."""
        label: str = "label"
        """Column of class names."""
        labels: tuple[str, ...] = ()
        """Class names in the order of the logits; not given, those found, sorted."""
        split: str | None = None
        """Column of train, val, test; not given, "split" where there is one, else a split is made: 70, 15 and 15 %,
        stratified by class, groups whole. Without val rows, 15 % of the train rows become val."""
        group: str | None = None
        """Column of groups whose rows are near-duplicates (patient, series) and never straddle a split; not given,
        "group" where there is one, else every row is a group."""
        audio: str | None = None
        """Column of sound files, or of clips with sound."""
        video: str | None = None
        """Column of clips."""
        image: str | None = None
        """Column of picture files."""
        text: str | None = None
        """Column of texts."""
        text_files: bool = False
        """The text column holds paths of UTF-8 files instead of the texts."""
        pathology: str | None = None
        """Column of tile files."""
        genes: str = "gene_"
        """Prefix of the genomics columns."""
        gene_table: Path | None = None
        """A second CSV or Parquet file that holds the genomics columns (all but the key, where no prefix matches)."""
        key: str | None = None
        """Column, in both tables, on which the second is joined."""

    options: "Table.Options"

    def load(self, config: Config) -> Pairs:
        """Read the table and check everything but the files' content.

        Raises:
            DataError: an unreadable table, an unknown column or label, empty cells, a missing file, a torn group.
        """
        frame = read_frame(self.options.path)
        rows = [f"row {number}" for number in range(2, len(frame) + 2)]  # as an editor shows it, the header being row 1
        labels, targets = self._targets(frame, rows)
        sources = self._sources(frame, rows)
        group = present_column(frame, self.options.group, "group", "--dataset.group")
        groups = codes(frame[group]) if group is not None else np.arange(len(frame))
        splits = self._splits(frame, rows, targets, groups, config.seed)
        pairs = Pairs(labels, sources, targets, groups, splits, rows)
        pairs.check()
        return pairs

    def _targets(self, frame: pd.DataFrame, rows: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
        column = present_column(frame, self.options.label, self.options.label, "--dataset.label")
        assert column is not None
        values = frame[column].str.strip()
        labels = self.options.labels or tuple(sorted(set(values) - {""}))
        known = {label: index for index, label in enumerate(labels)}
        bad = [f"{row}: {value!r}" for row, value in zip(rows, values, strict=True) if value not in known]
        if bad:
            raise DataError(f"{len(bad)} labels are not among {', '.join(labels)}:", bad)
        return labels, np.asarray([known[value] for value in values], dtype=np.int64)

    def _sources(self, frame: pd.DataFrame, rows: list[str]) -> dict[str, list[Source]]:
        sources: dict[str, list[Source]] = {}
        bad: list[str] = []
        for name in MODALITIES:
            if name == "genomics":
                found = genes(frame, rows, self.options.genes, self.options.gene_table, self.options.key)
                if found is not None:
                    sources[name] = found
                continue
            column = present_column(frame, getattr(self.options, name), name, f"--dataset.{name}")
            if column is None:
                continue
            is_path = name != "text" or self.options.text_files
            folder = self.options.path.parent
            sources[name] = [folder / cell if is_path else cell for cell in frame[column]]
            for row, cell in zip(rows, frame[column], strict=True):
                if not cell.strip():
                    bad.append(f"{row}, {name}: expected a {'path' if is_path else 'text'}, found an empty cell")
                elif is_path and not (folder / cell).is_file():
                    bad.append(f"{row}, {name}: no file {cell!r} beside {self.options.path.name}")
        if bad:
            raise DataError(f"{len(bad)} cells cannot be used:", bad)
        if len(sources) < 2:
            known = f"columns {', '.join(frame.columns[:12])}{', …' if len(frame.columns) > 12 else ''}"
            raise DataError(
                f"expected columns of two or more of {', '.join(MODALITIES)} (or --dataset.audio COLUMN and so on), "
                f"found {', '.join(sources) or 'none'} among {known}"
            )
        return sources

    def _splits(
        self, frame: pd.DataFrame, rows: list[str], targets: np.ndarray, groups: np.ndarray, seed: int
    ) -> np.ndarray:
        column = present_column(frame, self.options.split, "split", "--dataset.split")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # scikit-learn on rare classes: `Pairs.check` says it better
            if column is None:
                return assign(targets, groups, {"test": 0.15, "val": 0.15}, "train", seed)
            named = [SPLIT_NAMES.get(value.strip().lower(), "") for value in frame[column]]
            pairs = zip(rows, frame[column], named, strict=True)
            bad = [f"{row}: {value!r}" for row, value, name in pairs if not name]
            if bad:
                raise DataError(f"{len(bad)} values of column {column!r} are not among {', '.join(SPLITS)}:", bad)
            splits = np.asarray(named)
            if "val" not in named and "train" in named:
                train = splits == "train"
                splits[train] = assign(targets[train], groups[train], {"val": 0.15}, "train", seed)
        return splits
