"""Everything that preparing or running a training can raise on purpose.

TrainingError
├── ConfigError       an option that cannot be: unknown name, impossible value, options that contradict
│   └── PretrainedError   weights that cannot be had or used
├── DataError         a table, split or file that cannot be trained on; lists every bad row
├── TooFewSamples     a figure that the samples are too few to give
└── CheckpointError   a run folder that cannot be resumed or read
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from bundle.modalities import MODALITIES


class TrainingError(Exception):
    """The root: the programs print it as one line and exit with 2."""


class ConfigError(TrainingError):
    """An option that cannot be used."""


class PretrainedError(ConfigError):
    """Weights that cannot be used. Its message begins with the option's name, before which the modality's is put."""


@contextmanager
def named(modality: str) -> Iterator[None]:
    """Let what goes wrong with pretrained weights inside be said of one modality's option.

    Raises:
        ConfigError: in place of a `PretrainedError`.
    """
    try:
        yield
    except PretrainedError as error:
        raise ConfigError(f"--{modality}.encoder.{error}") from None


def require_several(name: str, modalities: Iterable[str]) -> None:
    """Refuse what `name` cannot do with fewer than two modalities.

    Raises:
        ConfigError: there are fewer.
    """
    found = list(modalities)
    if len(found) < 2:
        raise ConfigError(f"{name} needs two or more modalities, it got {', '.join(found) or 'none'}")


def require_additive(name: str, additive: bool) -> None:
    """Refuse a fusion whose shares depend on other modalities too, where `name` reads them as each one's own.

    Raises:
        ConfigError: it is one.
    """
    if not additive:
        raise ConfigError(f"{name} needs a fusion whose shares are each modality's own: concat or sum")


def check_modalities(names: tuple[str, ...]) -> None:
    """Refuse a choice of modalities that cannot be; none at all leaves the choice to the dataset.

    Raises:
        ConfigError: an unknown one, one twice, or one alone.
    """
    for name in names:
        if name not in MODALITIES:
            raise ConfigError(f"unknown modality {name!r}; known are {', '.join(MODALITIES)}")
    if len(set(names)) != len(names) or len(names) == 1:
        raise ConfigError(f"expected two or more different modalities, got {', '.join(names)}")


class CheckpointError(TrainingError):
    """A run folder that cannot be used."""


class TooFewSamples(TrainingError):
    """Samples that cannot tell what they are asked for."""


class DataError(TrainingError):
    """Data that cannot be trained on.

    Args:
        message: what was expected, what came, what is possible.
        rows: one line for each bad row, where rows are at fault.
    """

    def __init__(self, message: str, rows: Sequence[str] = ()) -> None:
        self.rows = tuple(rows)
        super().__init__("\n  ".join((message, *rows)))
