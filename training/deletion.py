"""What an answer loses where one modality is another sample's: the measure that contributions are held to."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluate import Encoded
from training.model import Classifier

REPEATS = 10
"""Other samples that each sample's features are replaced by, one after the other."""


@torch.no_grad()
def deletions(model: Classifier, encoded: Encoded, seed: int, batch: int = 512) -> dict[str, NDArray[np.float32]]:
    """By modality, `(samples,)`: the predicted class's probability minus its mean with that modality of another sample.

    Args:
        model: in evaluation mode.
        encoded: the features of a split.
        seed: of the choice of other samples.
        batch: samples fused at once.
    """
    device = next(model.parameters()).device
    features = {name: values.to(device) for name, values in encoded.features.items()}
    whole = _probabilities(model, features, batch)
    predicted = whole.argmax(dim=1, keepdim=True)
    count = len(whole)
    generator = np.random.default_rng((seed, count))
    drops = {}
    for name, values in features.items():
        drop = torch.zeros(count, 1, device=device)
        for _ in range(REPEATS if count > 1 else 0):
            others = torch.from_numpy(_others(count, generator)).to(device)
            replaced = _probabilities(model, {**features, name: values[others]}, batch)
            drop += (whole - replaced).gather(1, predicted) / REPEATS
        drops[name] = drop[:, 0].cpu().numpy().astype(np.float32)
    return drops


def _others(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """For each of some samples another one, never itself, uniformly."""
    return (np.arange(count) + generator.integers(1, count, count)) % count


def _probabilities(model: Classifier, features: dict[str, Tensor], batch: int) -> Tensor:
    split = [torch.split(values, batch) for values in features.values()]
    parts = (dict(zip(features, chunk, strict=True)) for chunk in zip(*split, strict=True))
    return torch.cat([model.fuse(part).logits.softmax(dim=1) for part in parts])
