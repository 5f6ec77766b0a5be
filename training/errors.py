"""Everything that preparing or running a training can raise on purpose.

TrainingError
├── ConfigError       an option that cannot be: unknown name, impossible value, options that contradict
├── DataError         a table, split or file that cannot be trained on; lists every bad row
└── CheckpointError   a run folder that cannot be resumed or read
"""

from collections.abc import Sequence


class TrainingError(Exception):
    """The root: the programs print it as one line and exit with 2."""


class ConfigError(TrainingError):
    """An option that cannot be used."""


class CheckpointError(TrainingError):
    """A run folder that cannot be used."""


class DataError(TrainingError):
    """Data that cannot be trained on.

    Args:
        message: what was expected, what came, what is possible.
        rows: one line for each bad row, where rows are at fault.
    """

    def __init__(self, message: str, rows: Sequence[str] = ()) -> None:
        self.rows = tuple(rows)
        super().__init__("\n  ".join((message, *rows)))
