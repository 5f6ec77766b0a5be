"""Labelled, paired raw samples: what every dataset gives, before anything is decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.modalities import Payload
from training.columns import compact
from training.errors import ConfigError, DataError, check_modalities

Source = Path | str | Mapping[str, float | None]
"""A file to read, or the value itself."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pairs:
    """A dataset's samples, column by column; every sequence has one entry for each sample.

    Whatever sequences it is given, it keeps them as `training.columns`, which take no memory by the row.
    """

    labels: tuple[str, ...]
    """Class names, in the order of the logits."""
    sources: Mapping[str, Sequence[Source]]
    """By modality."""
    targets: NDArray[np.int64]
    """`(samples,)` class indices."""
    groups: NDArray[np.int64]
    """`(samples,)` samples of one group are near-duplicates: one patient, one artist's series, one recording."""
    splits: NDArray[np.str_]
    """`(samples,)` of "train", "val", "test"."""
    rows: Sequence[str]
    """What to call each sample in an error, such as "row 12"."""
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What else is known of each sample, as text, by the column's name: --by measures by it, nothing trains on it."""

    def __post_init__(self) -> None:
        """Keep no Python object for each row."""
        object.__setattr__(self, "rows", compact(self.rows))
        for name in ("sources", "columns"):
            object.__setattr__(self, name, {key: compact(found) for key, found in getattr(self, name).items()})

    def indices(self, split: str) -> NDArray[np.int64]:
        """Positions of one split's samples."""
        return np.flatnonzero(self.splits == split)

    def only(self, modalities: Sequence[str]) -> "Pairs":
        """The same samples with some of the modalities, in the order asked for.

        Raises:
            ConfigError: fewer than two, one twice, or one that the dataset has not.
        """
        wanted = tuple(modalities) or tuple(self.sources)
        check_modalities(wanted)
        for name in wanted:
            if name not in self.sources:
                raise ConfigError(f"the dataset has no {name}; it has {', '.join(self.sources)}")
        return replace(self, sources={name: self.sources[name] for name in wanted})

    def check(self) -> None:
        """Refuse splits that cannot be trained or measured on.

        Raises:
            DataError: an empty split, a class with fewer than two training samples, a group in two splits.
        """
        for split in SPLITS:
            if not len(self.indices(split)):
                found = ", ".join(sorted(set(self.splits.tolist()))) or "none"
                raise DataError(f"the {split} split is empty; expected samples in {', '.join(SPLITS)}, found {found}")
        counts = np.bincount(self.targets[self.indices("train")], minlength=len(self.labels))
        rare = [f"{label}: {count}" for label, count in zip(self.labels, counts, strict=True) if count < 2]
        if rare:
            raise DataError("every class needs at least two training samples, too few are there for", rare)
        if len(self.labels) < 2:
            raise DataError(f"expected at least two classes, found {len(self.labels)}")
        torn = self._torn_groups()
        if torn:
            raise DataError(f"a group must lie in one split, {len(torn)} lie in more:", torn)

    def _torn_groups(self) -> list[str]:
        """A line for each group that lies in several splits, with the first row of it in each."""
        splits, codes = np.unique(self.splits, return_inverse=True)
        places = np.unique(np.stack([self.groups, codes]), axis=1)[0]  # once for each split that a group lies in
        torn = np.unique(places[:-1][places[1:] == places[:-1]])
        found: dict[int, dict[str, str]] = {}
        for position in np.flatnonzero(np.isin(self.groups, torn)).tolist():
            split = str(splits[codes[position]])
            found.setdefault(int(self.groups[position]), {}).setdefault(split, self.rows[position])
        return [", ".join(f"{row} in {split}" for split, row in parts.items()) for parts in found.values()]


def payload(source: Source) -> Payload:
    """What a modality decodes: the file's bytes, or the value itself.

    Raises:
        OSError: the file cannot be read.
    """
    return source.read_bytes() if isinstance(source, Path) else source
