"""What every context T is: from what is known of a training sample to one of a few values."""

from dataclasses import fields
from typing import Any, ClassVar

from torch import Tensor, nn

from training import catalog
from training.batch import Batch
from training.memory import Memory
from training.method import Run, Setting


class Condition(nn.Module):
    """Gives samples their T, 0 to count - 1. Only the critic sees it; the classifier and the exported graph never do.

    A subclass lives alone in `training/conditions/<name>.py`, has a frozen dataclass `Options`, and writes `contexts`.
    What it learns stays in buffers, which are saved and restored like weights.

    Args:
        setting: what the method is built for.
        options: its own `Options`.
    """

    Options: ClassVar[Any]
    count: int
    """How many values T takes."""

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__()
        self.setting = setting
        self.options = options

    def contexts(
        self, batch: Batch, features: dict[str, Tensor], projections: dict[str, Tensor], memory: Memory
    ) -> Tensor:
        """T of each sample, `(batch,)`; called without gradient.

        Args:
            batch: for labels.
            features: the encoders', by modality, `(batch, width)`.
            projections: the critic's, by modality, `(batch, dimensions)`.
            memory: past projections, without this batch.
        """
        raise NotImplementedError

    def epoch_start(self, run: Run) -> None:
        """Called before each epoch."""


def condition(name: str, setting: Setting, options: Any) -> Condition:
    """The named condition; its own options are the fields of those names in `options`, the method's.

    Raises:
        ConfigError: an unknown name.
    """
    kind = catalog.load("conditions", name)
    own = {field.name: getattr(options, field.name) for field in fields(kind.Options)}
    found: Condition = kind(setting, kind.Options(**own))
    return found
