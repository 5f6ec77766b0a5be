"""Every output of a classifier that becomes probabilities: all modalities, each alone by its share, and coalitions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bundle import coalitions
from bundle.manifest import Calibration
from training.evaluate import Scores

FEWEST_GROUPS = 10
"""Groups that intervals can be resampled from; with fewer, samples are."""


@dataclass(frozen=True)
class Named:
    """One output of a classifier of certain modalities."""

    kind: Literal["fused", "share", "coalition"]
    name: str
    """Of the modality, or of the coalition; empty where no modality is there."""
    number: int
    """Of the coalition, in the order of `bundle.coalitions`; 0 for a share."""

    @property
    def title(self) -> str:
        """In words."""
        if self.kind == "fused":
            return "all modalities"
        if self.kind == "share":
            return f"{self.name}, its share"
        return f"only {self.name.replace(coalitions.JOIN, ' + ')}" if self.name else "no modality"

    def logits(self, scores: Scores) -> NDArray[np.float32]:
        """`(samples, classes)`."""
        if self.kind == "fused":
            return scores.logits
        return scores.shares[self.name] if self.kind == "share" else scores.coalitions[:, self.number]

    def temperature(self, calibration: Calibration) -> float:
        """What divides the logits."""
        if self.kind == "fused":
            return calibration.fused
        return (calibration.shares if self.kind == "share" else calibration.coalitions).get(self.name, 1.0)


def outputs(modalities: tuple[str, ...]) -> tuple[Named, ...]:
    """All of them, the fused one first, then shares, then coalitions that lack some modality, the largest first.

    Args:
        modalities: in the run's order.
    """
    *partial, _ = enumerate(coalitions.names(modalities))
    return (
        Named("fused", coalitions.JOIN.join(modalities), (1 << len(modalities)) - 1),
        *(Named("share", name, 0) for name in modalities),
        *(
            Named("coalition", name, number)
            for number, name in sorted(partial, key=lambda entry: -entry[0].bit_count())
        ),
    )


def independent_groups(scores: Scores) -> NDArray[np.int64] | None:
    """What intervals over all samples of a split are resampled over: see `resampled`."""
    return resampled(scores.groups)


def resampled(groups: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """`(samples,)` the group of each sample; None where every sample is its own, or where groups are unknown.

    Also where there are fewer than `FEWEST_GROUPS`: resamples of one group are all the same, and those of a few say
    little, so that samples are taken for independent there and intervals are too narrow.
    """
    if groups is None or not FEWEST_GROUPS <= len(np.unique(groups)) < len(groups):
        return None
    return groups


def group_count(scores: Scores) -> int:
    """How many groups the samples are of; where groups are unknown, every sample is one."""
    return len(scores.labels) if scores.groups is None else len(np.unique(scores.groups))
