"""T = the cluster of the sample's features, found anew by k-means as each epoch starts."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.clustering import kmeans, match
from training.condition import Condition
from training.errors import ConfigError
from training.memory import Memory
from training.method import Run, Setting


class Cluster(Condition):
    """k-means on the modalities' features, each of unit length, side by side; a context that needs no labels.

    The clusters are of the training split in evaluation mode, without augmentation, and are renumbered to match those
    of the epoch before; a sample belongs to the nearest centroid. Before the first clustering every T is 0. An entry
    of the memory keeps the number it had.
    """

    centroids: Tensor
    ready: Tensor

    @dataclass(frozen=True)
    class Options:
        """Of k-means."""

        clusters: int = 5
        """How many; the paper has 5 and 10."""

    def __init__(self, setting: Setting, options: "Cluster.Options") -> None:
        super().__init__(setting, options)
        self.count = options.clusters
        self.register_buffer("centroids", torch.zeros(self.count, sum(setting.widths.values())))
        self.register_buffer("ready", torch.zeros((), dtype=torch.long))

    def contexts(
        self, batch: Batch, features: dict[str, Tensor], projections: dict[str, Tensor], memory: Memory
    ) -> Tensor:
        """The number of the nearest centroid."""
        return torch.cdist(self._points(features), self.centroids).argmin(dim=1) * self.ready

    def epoch_start(self, run: Run) -> None:
        """Cluster the training split.

        Raises:
            ConfigError: it has fewer samples than there are to be clusters.
        """
        points = self._points(run.features("train").features).nan_to_num().cpu().numpy()
        if len(points) < self.count:
            raise ConfigError(f"method.clusters must be at most the {len(points)} training samples, not {self.count}")
        found = kmeans(points, self.count, np.random.default_rng((self.setting.seed, run.epoch)))
        if self.ready:
            found = match(found, self.centroids.cpu().numpy())
        self.centroids.copy_(torch.from_numpy(found))
        self.ready.fill_(1)

    def _points(self, features: dict[str, Tensor]) -> Tensor:
        """`(batch, sum of widths)`, in the setting's order of modalities."""
        return torch.cat([functional.normalize(features[name].float(), dim=1) for name in self.setting.widths], dim=1)
