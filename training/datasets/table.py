"""Your own data: a CSV or Parquet file with a column for each modality and a label column."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bundle.modalities import MODALITIES
from training.columns import Files, Words
from training.config import Config
from training.dataset import Dataset
from training.errors import ConfigError, DataError
from training.files import file_problem
from training.frame import codes, listed, present_column, read_frame
from training.genes import PREFIX, genes, joined
from training.pairs import SPLITS, Pairs, Source
from training.problems import RowProblems, shown
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
        genes: str = PREFIX
        """Prefix of the genomics columns."""
        gene_table: Path | None = None
        """A second CSV or Parquet file that holds the genomics columns (all but the key, where no prefix matches)."""
        key: str | None = None
        """Column, in both tables, on which the second is joined."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
                raise ConfigError(f"dataset.labels must be two or more different names, not {', '.join(self.labels)}")
            if (self.gene_table is None) != (self.key is None):
                raise ConfigError("--dataset.gene-table and --dataset.key, the column to join on, need each other")
            if not self.genes:
                raise ConfigError("dataset.genes must be a prefix of one or more characters")

    options: "Table.Options"

    def load(self, config: Config) -> Pairs:
        """Read the table and check all of it but the files' content; modalities not asked for are not looked at.

        Raises:
            DataError: an unreadable table, an unknown column; or every row with an empty cell, a missing file, a wrong
                number, an unknown label or split; or a torn group.
        """
        return self.pairs(read_frame(self.options.path), config)

    def pairs(self, frame: pd.DataFrame, config: Config) -> Pairs:
        """The pairs of a table of strings that was read already; its index has the rows' numbers or names.

        Raises:
            DataError: as `load`.
        """
        rows = [name if isinstance(name, str) else f"row {name}" for name in frame.index]
        problems = RowProblems(rows)
        labels, targets = self._targets(frame, problems)
        sources = self._sources(frame, config, problems)
        group = present_column(frame, self.options.group, "group", "--dataset.group")
        groups = codes(frame[group]) if group is not None else np.arange(len(frame))
        given = self._given_splits(frame, problems)
        problems.check(self.options.path.name)
        splits = _splits(given, np.asarray(labels)[targets], groups, config.seed)
        pairs = Pairs(labels, sources, targets, groups, splits, rows, self._columns(frame))
        pairs.check()
        return pairs

    def _targets(self, frame: pd.DataFrame, problems: RowProblems) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        column = present_column(frame, self.options.label, self.options.label, "--dataset.label")
        assert column is not None
        values = frame[column].str.strip()
        labels = self.options.labels or tuple(sorted(set(values) - {""}))
        known = {label: index for index, label in enumerate(labels)}
        for position, value in enumerate(values):
            if not value:
                problems.add(position, column, "expected a class name, found an empty cell")
            elif value not in known:
                problems.add(position, column, f"expected one of {', '.join(labels)}, found {shown(value)}")
        return labels, np.asarray([known.get(value, 0) for value in values], dtype=np.int64)

    def _sources(self, frame: pd.DataFrame, config: Config, problems: RowProblems) -> dict[str, Sequence[Source]]:
        sources: dict[str, Sequence[Source]] = {}
        for name in MODALITIES:
            if config.modalities and name not in config.modalities:
                continue
            found = self._genes(frame, problems) if name == "genomics" else self._column(frame, name, problems)
            if found is not None:
                sources[name] = found
        absent = [name for name in config.modalities if name not in sources]
        if absent or len(sources) < 2:
            expected = " and ".join(config.modalities) or f"two or more of {', '.join(MODALITIES)}"
            raise DataError(
                f"expected columns of {expected} (or --dataset.audio COLUMN and so on), found "
                f"{' and '.join(sources) or 'none'}; the table has {listed(frame)}"
            )
        return sources

    def _genes(self, frame: pd.DataFrame, problems: RowProblems) -> Sequence[Source] | None:
        options = self.options
        if options.gene_table is None or options.key is None:
            return genes(frame, options.genes, problems)
        second, places = joined(frame, options.gene_table, options.key, problems)
        has_prefix = any(name.startswith(options.genes) for name in second.columns)
        return genes(second, options.genes if has_prefix else "", problems, places)

    def _column(self, frame: pd.DataFrame, name: str, problems: RowProblems) -> Sequence[Source] | None:
        column = present_column(frame, getattr(self.options, name), name, f"--dataset.{name}")
        if column is None:
            return None
        folder = self.options.path.parent
        if name != "text" or self.options.text_files:
            paths = [cell.strip() for cell in frame[column]]
            for position, path in enumerate(paths):
                problem = file_problem(folder, path)
                if problem is not None:
                    problems.add(position, column, problem)
            return Files(folder / path for path in paths)
        for position, cell in enumerate(frame[column]):
            if not cell.strip():
                problems.add(position, column, "expected a text, found an empty cell")
        return Words(frame[column])

    def _columns(self, frame: pd.DataFrame) -> dict[str, Sequence[str]]:
        """Every column that no modality is read from."""
        read = {getattr(self.options, name) or name for name in MODALITIES if name != "genomics"}
        kept = [name for name in frame.columns if name not in read and not name.startswith(self.options.genes)]
        return {name: Words(frame[name]) for name in kept}

    def _given_splits(self, frame: pd.DataFrame, problems: RowProblems) -> list[str] | None:
        """The split each row states, or None where the table states none."""
        column = present_column(frame, self.options.split, "split", "--dataset.split")
        if column is None:
            return None
        named = [SPLIT_NAMES.get(cell.strip().lower(), "") for cell in frame[column]]
        for position, (cell, name) in enumerate(zip(frame[column], named, strict=True)):
            if not name:
                problems.add(position, column, f"expected one of {', '.join(SPLITS)}, found {shown(cell)}")
        return named


def _splits(
    given: list[str] | None, classes: NDArray[np.str_], groups: NDArray[np.int64], seed: int
) -> NDArray[np.str_]:
    """The given splits, completed by a val split where there is none; without any, new ones."""
    if given is None:
        return assign(classes, groups, {"test": 0.15, "val": 0.15}, "train", seed)
    splits = np.asarray(given)
    train = splits == "train"
    if "val" not in given and train.any():
        splits[train] = assign(classes[train], groups[train], {"val": 0.15}, "train", seed)
    return splits
