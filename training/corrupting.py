"""Corrupts a split's samples, one modality at a time, and measures what a classifier makes of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.corruptions.corruption import SEVERITIES, Corruption, Subject
from training.corruptions.known import CORRUPTIONS, EXCHANGED, SHARES
from training.measures.robustness import Curve, Outputs, Standard, Standing, standing
from training.model import Classifier
from training.preparation import Prepared

MOST = 1000
"""Samples that are corrupted; of more, so many that lie evenly among them."""


@dataclass(frozen=True)
class Corrupted:
    """Samples to be corrupted, and by what they are judged; yields a curve for each corruption.

    Only the encoder of the corrupted modality runs anew; the others' features are computed once.
    """

    model: Classifier
    """In evaluation mode."""
    prepared: Prepared
    indices: NDArray[np.int64]
    """`(samples,)` which of the prepared samples."""
    standard: Standard
    groups: NDArray[np.int64] | None = None
    """`(samples,)`, where intervals are resampled over groups."""
    seed: int = 0
    batch: int = 64

    def __len__(self) -> int:
        return sum(len(CORRUPTIONS.get(name, ())) + 1 for name in self.prepared.modalities)

    def __iter__(self) -> Iterator[Curve]:
        plain = {name: self._encode(name, None, 0) for name in self.prepared.modalities}
        whole = self._standing(plain)
        for name in self.prepared.modalities:
            for number, corruption in enumerate(CORRUPTIONS.get(name, ())):
                found = [
                    self._standing({**plain, name: self._encode(name, corruption, severity, number)})
                    for severity in range(1, SEVERITIES + 1)
                ]
                yield Curve(name, corruption.name, corruption.meaning, corruption.levels, (whole, *found))
        for place, name in enumerate(self.prepared.modalities):
            others = [exchanged(len(self.indices), share, (self.seed, place)) for share in SHARES]
            found = [self._standing({**plain, name: plain[name][torch.from_numpy(other)]}) for other in others]
            yield Curve(name, EXCHANGED, "share of the samples", SHARES, (whole, *found))

    @torch.no_grad()
    def _encode(self, name: str, corruption: Corruption | None, severity: int, number: int = 0) -> Tensor:
        """Features `(samples, width)` of one modality."""
        modality, device = self.prepared.modalities[name], next(self.model.parameters()).device
        found = []
        for start in range(0, len(self.indices), self.batch):
            arrays = []
            for index in self.indices[start : start + self.batch].tolist():
                array = np.asarray(self.prepared.arrays[name][index])
                if corruption is not None:
                    subject = Subject(array, modality, self.prepared.pairs.sources[name][index])
                    array = corruption.apply(subject, severity, (self.seed, index, number))
                arrays.append(modality.normalise(array))
            found.append(self.model.encoders[name](torch.from_numpy(modality.stack(arrays)).to(device)))
        return torch.cat(found)

    @torch.no_grad()
    def _standing(self, features: Mapping[str, Tensor]) -> Standing:
        out = self.model.fuse(dict(features))
        shifts = {name: shift(features[name]).cpu().numpy() for name, shift in self.model.shifts.items()}
        shares = {name: share.cpu().numpy() for name, share in out.shares.items()}
        outputs = Outputs(out.logits.cpu().numpy(), shares, shifts)
        return standing(outputs, self.prepared.pairs.targets[self.indices], self.standard, self.groups)


def chosen(count: int) -> NDArray[np.int64]:
    """Positions of those that are corrupted, among so many."""
    return np.arange(count) if count <= MOST else np.linspace(0, count - 1, MOST).round().astype(np.int64)


def exchanged(count: int, share: float, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """`(count,)` whose modality each sample gets: of about `share` of them another sample's, of the others their own.

    With the same seed a larger share exchanges the same samples and more. The others are chosen uniformly, whatever
    their class; a single sample has no other.
    """
    generator = np.random.default_rng(seed)
    struck = generator.permutation(count) < round(share * count)
    steps = generator.integers(1, max(count, 2), count)
    return np.where(struck, (np.arange(count) + steps) % count, np.arange(count))
