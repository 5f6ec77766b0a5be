"""T = how alike a sample's modalities already are: low, middle or high cosine of the critic's projections."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.condition import Condition
from training.memory import Memory


class Retrieval(Condition):
    """Three levels of cross-modal similarity, between the terciles of what the memory holds at that moment.

    The similarity is the cosine of the two projections, with more modalities its mean over their pairs. The paper says
    "3 levels of quantised cross-modal similarity" and no more: that the thresholds are running terciles is our reading.
    An entry of the memory keeps the level it had. While the memory is empty every T is 0.
    """

    count = 3

    @dataclass(frozen=True)
    class Options:
        """None."""

    def contexts(
        self, batch: Batch, features: dict[str, Tensor], projections: dict[str, Tensor], memory: Memory
    ) -> Tensor:
        """The number of terciles that the sample's similarity exceeds."""
        past = similarity({name: memory.projections(name) for name in projections})
        low, high = terciles(past, memory.samples >= 0)
        found = similarity(projections)
        return (found > low).long() + (found > high).long()


def similarity(projections: dict[str, Tensor]) -> Tensor:
    """Cosines by modality `(batch, dimensions)`, averaged over the pairs of modalities: `(batch,)` from -1 to 1."""
    units = [functional.normalize(values.float(), dim=-1) for values in projections.values()]
    return torch.stack([(one * other).sum(dim=-1) for one, other in itertools.combinations(units, 2)]).mean(dim=0)


def terciles(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The values under which a third and two thirds of the known ones lie, interpolated; infinite if none is known."""
    last = known.sum() - 1
    ordered = values.masked_fill(~known, torch.inf).sort().values
    found = []
    for part in (1 / 3, 2 / 3):
        place = (last * part).clamp(min=0.0)
        below, above = ordered[place.floor().long()], ordered[place.ceil().long()]
        mixed = below + (above - below) * (place - place.floor())
        found.append(torch.where(last < 0, torch.inf, mixed))
    return found[0], found[1]
