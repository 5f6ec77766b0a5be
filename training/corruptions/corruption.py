"""What a corruption is: one way in which a decoded sample gets worse, in five severities."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bundle.modalities import Array, Modality
from training.pairs import Source

SEVERITIES = 5
"""As in Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations"
(2019)."""


@dataclass(frozen=True)
class Subject:
    """What is corrupted."""

    array: Array
    """As decoded."""
    modality: Modality
    """That decoded it."""
    source: Source
    """What it was decoded from."""


Change = Callable[[Subject, float, np.random.Generator], Array]
"""A subject and a level to an array as `decode` gives it: same type, and same shape but for texts.

With generators of the same seed the same is struck at every level, harder or more of it."""


@dataclass(frozen=True)
class Corruption:
    """One way to get worse."""

    name: str
    levels: tuple[float, ...]
    """`(SEVERITIES,)`, mildest first."""
    meaning: str
    """What a level is, in words."""
    change: Change

    def __post_init__(self) -> None:
        assert len(self.levels) == SEVERITIES

    def apply(self, subject: Subject, severity: int, seed: tuple[int, ...]) -> Array:
        """The corrupted array; always the same for the same seed.

        Args:
            subject: is left as it is.
            severity: 1 to `SEVERITIES`.
            seed: of the sample.
        """
        assert 1 <= severity <= SEVERITIES
        return self.change(subject, self.levels[severity - 1], np.random.default_rng(seed))
