"""After the last epoch: what is learned from the training features as they are, and every sample's scores."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch.nn import functional

from bundle.coalitions import membership
from training.batch import Batch
from training.deletion import deletions
from training.evaluate import Encoded, Scores, collect_encoded, encode
from training.model import Classifier

STEPS = 50
"""Of L-BFGS, each over all samples."""
MOST = 4096
"""Samples from which stand-ins are learned: they are few numbers, and more samples hardly change them."""


def settle(model: Classifier, training: Iterable[Batch], accelerator: Accelerator, learned: bool) -> None:
    """Fit what depends on the training features of the kept weights: stand-ins and distances.

    Args:
        model: with the kept weights.
        training: the training split, without augmentation.
        accelerator: where to.
        learned: whether the stand-ins were trained, by modality dropout; else they start at the mean features.
    """
    encoded = encode(model, training, accelerator)
    if not learned:
        model.stand_ins.neutral(encoded.features)
    learn_stand_ins(model, encoded, accelerator)
    for name, shift in model.shifts.items():
        shift.fit(encoded.features[name], encoded.labels)  # type: ignore[operator]


def learn_stand_ins(model: Classifier, encoded: Encoded, accelerator: Accelerator) -> None:
    """Choose the stand-ins that make answers without some modalities best, everything else of the classifier as it is.

    They minimise the cross-entropy of the training split, averaged over all coalitions but the whole one; the answer
    without any modality comes near the frequencies of the classes. With shares that each depend on their own modality
    the problem is convex: a stand-in adds a constant to the logits. What modality dropout learned is where it starts.

    Args:
        model: in evaluation mode; only its stand-ins change.
        encoded: features of the training split.
        accelerator: where to.
    """
    kept = torch.linspace(0, len(encoded.labels) - 1, min(MOST, len(encoded.labels))).long()
    features = {name: values[kept].to(accelerator.device) for name, values in encoded.features.items()}
    labels = encoded.labels[kept].to(accelerator.device)
    partial = torch.from_numpy(membership(len(features))[:-1].copy()).to(accelerator.device)
    vectors = list(model.stand_ins.parameters())
    before = [vector.detach().clone() for vector in vectors]
    optimizer = torch.optim.LBFGS(vectors, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        found = [model.fuse(features, mask.expand(len(labels), -1)).logits for mask in partial]
        return torch.stack([functional.cross_entropy(logits, labels) for logits in found]).mean()

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        gradients = torch.autograd.grad(value, vectors)
        for vector, gradient in zip(vectors, gradients, strict=True):
            vector.grad = gradient
        return float(value.detach())

    with torch.no_grad():
        start = loss()
    optimizer.step(closure)  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    with torch.no_grad():
        if not bool(loss() <= start):  # it ran away, or is no number
            for vector, kept_value in zip(vectors, before, strict=True):
                vector.copy_(kept_value)


def examine(model: Classifier, split: Iterable[Batch], accelerator: Accelerator, seed: int) -> Scores:
    """Every sample's scores on one split, deletions included."""
    scores, encoded = collect_encoded(model, split, accelerator)
    return replace(scores, deletions=deletions(model, encoded, seed))
