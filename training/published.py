"""A dataset that others distribute: its own layout is surveyed, the rest of the program sees a table."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd

from training.config import Config
from training.dataset import Dataset
from training.datasets.table import Table
from training.errors import DataError
from training.frame import read_frame
from training.pairs import Pairs
from training.survey import Survey

TABLE = "table.csv"
"""Of a folder that `python -m training.prepare` wrote: the samples that are whole, one a row."""
SHOWN = 20
"""Missing samples that a message lists."""


class Published(Dataset):
    """Reads the layout as it is distributed, or the table that `python -m training.prepare` made of it.

    A subclass gives `survey` and `OBTAIN`; its options have a `path`, and `arrange` chooses by the others.
    """

    OBTAIN: ClassVar[str]
    """Where it is to be had, as the end of a sentence."""

    @classmethod
    @abstractmethod
    def survey(cls, folders: Sequence[Path]) -> Survey:
        """The samples that the layout in some folders gives, with absolute paths.

        Raises:
            DataError: the layout is not there, or contradicts itself.
        """

    @classmethod
    def fetch(cls, folder: Path) -> list[Path]:
        """Download it into a folder; returns what came.

        Raises:
            DataError: it cannot be downloaded without its owner's leave; says where to ask.
        """
        del folder
        raise DataError(f"expected --from with the dataset's archives or folders; to obtain it: {cls.OBTAIN}")

    @classmethod
    def process(cls, survey: Survey, folder: Path) -> Survey:
        """Make in a folder what the dataset needs made once; the survey with it."""
        del folder
        return survey

    def arrange(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The table with the columns `label`, `split`, `group` and those of the modalities as the options say."""
        return frame

    def load(self, config: Config) -> Pairs:
        """Read the prepared table, or the layout itself.

        Raises:
            DataError: neither is there, samples are missing, or rows cannot be used.
        """
        path: Path = self.options.path
        table = path / TABLE if path.is_dir() else path
        if table.is_file():
            frame = read_frame(table)
        elif not path.is_dir():
            raise DataError(
                f"expected the dataset's folder at {path}, found none; `python -m training.prepare {config.dataset} "
                f"--to {path}` makes it, with --from what you have; to obtain it: {self.OBTAIN}"
            )
        else:
            survey = self.survey([path.resolve()])
            _refuse_missing(survey.missing, config.dataset, path)
            frame = survey.frame
        return Table(Table.Options(table)).pairs(self.arrange(frame), config)


def _refuse_missing(missing: Sequence[str], name: str, path: Path) -> None:
    if missing:
        more = [f"and {len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
        raise DataError(
            f"{len(missing)} samples of {path} are missing; `python -m training.prepare {name} --from {path} --to "
            "FOLDER` writes a table without them:",
            [*missing[:SHOWN], *more],
        )
