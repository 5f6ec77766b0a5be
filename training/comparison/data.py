"""What must be true of the data before anything is trained: it can be read, and seeds share the test samples."""

from collections.abc import Sequence
from typing import Any

from training import catalog
from training.comparison.cells import Cell
from training.errors import DataError
from training.pairs import Pairs


def check_data(cells: Sequence[Cell]) -> None:
    """Read the dataset's lists, as every training will, for the first and the last seed.

    Raises:
        TrainingError: data that cannot be trained on, or a test split that depends on the seed.
    """
    sources: dict[Any, list[Cell]] = {}
    for cell in cells:
        config = cell.config
        sources.setdefault(repr((config.dataset, config.dataset_options, config.modalities)), []).append(cell)
    for same in sources.values():
        tested = [_tested(cell) for cell in {cell.seed: cell for cell in (same[0], same[-1])}.values()]
        if tested[0] != tested[-1]:
            raise DataError(
                "expected one test split for all seeds, found that every seed makes its own; give the table a column "
                "`split` (the splits.csv of any run of training.fit has one)"
            )


def _tested(cell: Cell) -> list[int]:
    config = cell.config
    pairs: Pairs = catalog.load("datasets", config.dataset)(config.dataset_options).load(config)
    return list(pairs.only(config.modalities).indices("test").tolist())
