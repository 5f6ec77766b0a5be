"""What every dataset is: options, a recipe, and the pairs it loads."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from training.config import Config
from training.pairs import Pairs


class Dataset(ABC):
    """A source of labelled pairs. A subclass lives alone in `training/datasets/<name>.py` with a frozen `Options`."""

    Options: ClassVar[Any]
    MICRO_AUC: ClassVar[bool] = False
    """Whether runs, reports and comparisons state the micro-averaged area under the ROC curve too."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def recipe(cls, config: Config) -> Config:
        """The configuration this dataset is meant to be trained with: the defaults of the command line."""
        return config

    @abstractmethod
    def load(self, config: Config) -> Pairs:
        """Find the samples, their labels and their splits.

        Raises:
            DataError: something is missing or cannot be used; says all of it at once.
        """
