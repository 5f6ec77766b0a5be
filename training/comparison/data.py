"""The data itself: readable before anything is trained, one test split for all seeds, and its groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import catalog
from training.comparison.cells import Cell
from training.errors import DataError, TrainingError
from training.evaluate import Scores
from training.measures.outputs import FEWEST_GROUPS
from training.pairs import Pairs


@dataclass(frozen=True)
class Groups:
    """Which test samples are resampled together."""

    numbers: NDArray[np.int64]
    """`(samples,)`."""
    remark: str
    """What a reader must know of it."""


def check_data(cells: Sequence[Cell]) -> None:
    """Read the dataset's lists, as every training will, for the first and the last seed.

    Raises:
        TrainingError: data that cannot be trained on, or a test split that depends on the seed.
    """
    sources: dict[str, list[Cell]] = {}
    for cell in cells:
        config = cell.config
        sources.setdefault(repr((config.dataset, config.dataset_options, config.modalities)), []).append(cell)
    for same in sources.values():
        ends = {cell.seed: cell for cell in (same[0], same[-1])}.values()
        tested = [_pairs(cell).indices("test").tolist() for cell in ends]
        if tested[0] != tested[-1]:
            raise DataError(
                "expected one test split for all seeds, found that every seed makes its own; give the table a column "
                "`split` (the splits.csv of any run of training.fit has one)"
            )


def _pairs(cell: Cell) -> Pairs:
    config = cell.config
    pairs: Pairs = catalog.load("datasets", config.dataset)(config.dataset_options).load(config)
    return pairs.only(config.modalities)


def groups_of_test(cells: Sequence[Cell], scores: Mapping[tuple[str, int], dict[str, Scores]]) -> Groups:
    """The groups of the test samples; where the data is gone or has too few of them, every sample is one."""
    cell = next((cell for cell in cells if (cell.variant, cell.seed) in scores), None)
    if cell is None:
        return Groups(np.arange(0), "")
    test = scores[cell.variant, cell.seed]["test"]
    each = np.arange(len(test.samples))
    try:
        pairs = _pairs(cell)
        same = np.array_equal(pairs.targets[test.samples], test.labels)
    except (TrainingError, OSError, IndexError):
        same = False
    if not same:
        return Groups(each, "The data is no longer there to tell groups, so samples are resampled one by one.")
    numbers = pairs.groups[test.samples]
    count = len(np.unique(numbers))
    if count == len(numbers):
        return Groups(each, "")
    if count < FEWEST_GROUPS:
        alone = "one group" if count == 1 else f"{count} groups"
        return Groups(
            each,
            f"All test samples are of {alone}, too few to resample: samples are resampled one by one, and the "
            "intervals hold for these groups alone.",
        )
    return Groups(numbers, f"The test samples are resampled by group, of which there are {count:,}.")
