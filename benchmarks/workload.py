"""What the objective is timed on: features of the paper's shapes, and an InfoBridge whose memory is full."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.batch import Batch
from training.method import Setting
from training.methods.infobridge import InfoBridge

NAMES = ("image", "pathology")


@dataclass(frozen=True)
class Shapes:
    """The paper's, but for what is varied."""

    classes: int = 6
    memory: int = 1024
    batch: int = 128
    width: int = 512
    negatives: int = 5
    device: str = "cpu"


class Stream:
    """Generated batches without end; every sample is a new one, with weakly related features.

    Args:
        shapes: of the batches.
        seed: of the numbers.
    """

    def __init__(self, shapes: Shapes, seed: int = 0) -> None:
        self.shapes = shapes
        self.generator = torch.Generator().manual_seed(seed)
        self.count = 0

    def draw(self) -> tuple[dict[str, Tensor], Batch]:
        """Features `(batch, width)` that want a gradient, and the rest."""
        shapes = self.shapes
        common = torch.randn(shapes.batch, shapes.width, generator=self.generator)
        own = {name: torch.randn(shapes.batch, shapes.width, generator=self.generator) for name in NAMES}
        labels = torch.randint(shapes.classes, (shapes.batch,), generator=self.generator).to(shapes.device)
        samples = torch.arange(self.count, self.count + shapes.batch, device=shapes.device)
        self.count += shapes.batch
        features = {name: (common + values).to(shapes.device).requires_grad_() for name, values in own.items()}
        return features, Batch({}, labels, samples, samples)


def filled(shapes: Shapes, stream: Stream) -> InfoBridge:
    """A method in training whose memory is full and whose normaliser has seen a few batches."""
    options = InfoBridge.Options(negatives_per_pair=shapes.negatives, memory=shapes.memory)
    method = InfoBridge(Setting(dict.fromkeys(NAMES, shapes.width), shapes.classes, 0, 0.01), options)
    method.to(shapes.device).train()
    with torch.no_grad():
        for _ in range(-(-shapes.memory // shapes.batch)):
            features, batch = stream.draw()
            projections = {name: method.critic.project(name, values) for name, values in features.items()}
            method.memory.push(projections, batch.labels, batch.samples, batch.groups)
        for _ in range(3):
            method.objective(*stream.draw())
    method.diagnostics()
    return method
