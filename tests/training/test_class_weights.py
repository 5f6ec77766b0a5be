"""Class weights: scikit-learn's numbers, and what every method's classification makes of them."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from tests.training.conftest import Fit
from tests.training.tables import Row, write_csv
from tests.training.tiny import BATCH, CLASSES, TWO, batches, classifier, run, setting
from training import catalog
from training.batch import Batch, Output
from training.config import Config
from training.errors import ConfigError, DataError
from training.fit import prepare
from training.imbalance import class_weights
from training.loop import Loop
from training.method import Method
from training.methods.infobridge import InfoBridge
from training.methods.joint import Joint
from training.methods.pmr import PMR
from training.methods.reconboost import ReconBoost
from training.pairs import Pairs
from training.protection import protection_loss

WEIGHTS = (0.4, 1.0, 2.5)
EVERY: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in catalog.names("methods")]
EVERY += [("infobridge", {"variant": "protected"}), ("reconboost", {"variant": "official-code"})]
every_method = pytest.mark.parametrize(
    ("name", "options"), EVERY, ids=[f"{name} {' '.join(options.values())}".strip() for name, options in EVERY]
)


def method_of(name: str, options: dict[str, Any], weights: tuple[float, ...] | None) -> Method:
    kind = catalog.load("methods", name)
    built: Method = kind(replace(setting(TWO), class_weights=weights), kind.Options(**options))
    return built.eval()


def terms_of(name: str, options: dict[str, Any], weights: tuple[float, ...] | None, part: Tensor) -> dict[str, Tensor]:
    """The terms of some samples of a batch, in evaluation mode: none depends on another sample's features.

    Only those that measure the task: `task`, and each modality's own.
    """
    model, (batch,) = classifier(TWO).eval(), batches(1, TWO)
    method = method_of(name, options, weights)
    method.epoch_start(run(0, model, [batch]))
    out = model(batch.inputs)
    features = {key: values[part] for key, values in out.features.items()}
    chosen = Output(out.logits[part], features, {key: values[part] for key, values in out.shares.items()})
    inputs = {key: values[part] for key, values in batch.inputs.items()}
    found = method(chosen, Batch(inputs, batch.labels[part], batch.samples[part], batch.groups[part]))
    task = {"task", *TWO, *(f"own_{modality}" for modality in TWO)}
    return {term: value for term, value in found.items() if term in task}


@every_method
def test_a_class_that_alone_has_weight_is_what_the_task_is_measured_on(name: str, options: dict[str, Any]) -> None:
    labels = batches(1, TWO)[0].labels
    for label in range(CLASSES):
        weights = tuple(float(label == other) for other in range(CLASSES))
        found = terms_of(name, options, weights, torch.arange(BATCH))
        expected = terms_of(name, options, None, torch.nonzero(labels == label).flatten())
        assert found and found.keys() == expected.keys()
        for term in found:
            assert found[term].item() == pytest.approx(expected[term].item(), rel=1e-5), term


@every_method
def test_the_weighted_mean_of_the_task_is_that_of_its_samples(name: str, options: dict[str, Any]) -> None:
    labels = batches(1, TWO)[0].labels.tolist()
    alone = [terms_of(name, options, None, torch.tensor([sample])) for sample in range(BATCH)]
    total = sum(WEIGHTS[label] for label in labels)
    plain, found = (terms_of(name, options, weights, torch.arange(BATCH)) for weights in (None, WEIGHTS))
    for term, value in found.items():
        naive = sum(WEIGHTS[label] * one[term].item() for label, one in zip(labels, alone, strict=True)) / total
        assert value.item() == pytest.approx(naive, rel=1e-5)
        assert abs(value.item() - plain[term].item()) > 1e-3, "the weights change it"


@every_method
def test_equal_weights_are_none(name: str, options: dict[str, Any]) -> None:
    plain, found = (terms_of(name, options, weights, torch.arange(BATCH)) for weights in (None, (0.7,) * CLASSES))
    for term, value in found.items():
        assert value.item() == pytest.approx(plain[term].item(), rel=1e-5)


def test_classifying_is_the_weighted_mean_of_a_naive_loop() -> None:
    logits, labels = torch.randn(7, CLASSES), torch.tensor([0, 2, 1, 1, 0, 2, 2])
    method = Joint(replace(setting(TWO), class_weights=WEIGHTS), Joint.Options())
    losses = [-math.log(row.exp()[label] / row.exp().sum()) for row, label in zip(logits, labels, strict=True)]
    weights = [WEIGHTS[label] for label in labels.tolist()]
    naive = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    assert method.classify(logits, labels).item() == pytest.approx(naive, rel=1e-5)
    assert method.average(torch.tensor(losses), labels).item() == pytest.approx(naive, rel=1e-5)


def test_without_weights_classifying_is_torch_s_cross_entropy_bit_for_bit() -> None:
    logits, labels = torch.randn(50, CLASSES), torch.randint(CLASSES, (50,))
    method = Joint(setting(TWO), Joint.Options())
    assert torch.equal(method.classify(logits, labels), functional.cross_entropy(logits, labels))
    assert torch.equal(method.average(logits[:, 0], labels), logits[:, 0].mean())
    assert method.state_dict() == {}


def test_weights_move_with_the_method_and_are_not_saved() -> None:
    method = Joint(replace(setting(TWO), class_weights=WEIGHTS), Joint.Options())
    assert method.state_dict() == {}
    moved = method.to("meta").class_weights
    assert moved is not None and moved.device.type == "meta"


@pytest.mark.parametrize("part", ["reconcilement", "prototype"])
def test_what_belongs_to_the_task_is_weighted_alike(part: str) -> None:
    """ReconBoost's -KL, which only the weighted cross-entropy keeps from running away, and PMR's prototype loss."""
    model, (batch,) = classifier(TWO).eval(), batches(1, TWO)
    kind: Any = ReconBoost if part == "reconcilement" else PMR
    weighted = kind(replace(setting(TWO), class_weights=WEIGHTS), kind.Options())
    weighted.epoch_start(run(8 if part == "reconcilement" else 0, model, [batch]))
    out = model(batch.inputs)
    found = weighted(out, batch)
    weights = torch.tensor(WEIGHTS)[batch.labels]
    if isinstance(weighted, ReconBoost):
        learner, other = (
            out.shares[weighted.learner],
            next(share for name, share in out.shares.items() if name != weighted.learner),
        )
        own, teacher = learner.log_softmax(dim=1), other.log_softmax(dim=1)
        losses = (teacher.exp() * (teacher - own)).sum(dim=1)
        expected = {"reconcilement": -0.2 * (weights * losses).sum() / weights.sum()}
    else:
        expected = {}
        strengths = weighted._weights(
            torch.stack([weighted._predict(name, values) for name, values in out.features.items()]), batch.labels
        )[0]
        for strength, (name, values) in zip(strengths, out.features.items(), strict=True):
            losses = -weighted._predict(name, values)[torch.arange(BATCH), batch.labels]
            expected[f"prototype_{name}"] = 2.0 * strength * (weights * losses).sum() / weights.sum()
    for term, value in expected.items():
        assert found[term].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-7), term


def test_false_pairs_of_a_class_count_with_its_weight() -> None:
    generator = torch.Generator().manual_seed(3)
    shares = {name: torch.randn(8, CLASSES, generator=generator) for name in TWO}
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    batch = Batch({}, labels, torch.arange(8), torch.tensor([0, 1, 2, 3, 4, 5, 6, 6]))  # class 2 has no partner
    small = torch.tensor([0.1, 0.2, 5.0])
    means = []
    for label in (0, 1):
        alone = torch.tensor([float(label == other) for other in range(CLASSES)])
        means.append(protection_loss(shares, batch, 4, torch.Generator().manual_seed(9), alone).item())
    expected = (0.1 * means[0] + 0.2 * means[1]) / 0.3
    found = protection_loss(shares, batch, 4, torch.Generator().manual_seed(9), small)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_protected_variant_weighs_its_false_pairs() -> None:
    model, (batch,) = classifier(TWO).eval(), batches(1, TWO)
    out = model(batch.inputs)
    found = [
        InfoBridge(replace(setting(TWO), class_weights=weights), InfoBridge.Options(variant="protected"))(out, batch)
        for weights in (None, WEIGHTS)
    ]
    assert abs(found[0]["protection"].item() - found[1]["protection"].item()) > 1e-3
    assert torch.equal(found[0]["information"], found[1]["information"])


def pairs_of(targets: list[int], splits: list[str], classes: int) -> Pairs:
    count, labels = len(targets), tuple(f"class {number}" for number in range(classes))
    return Pairs(labels, {}, np.array(targets), np.arange(count), np.array(splits), [f"row {n}" for n in range(count)])


def test_balanced_weights_are_scikit_learn_s_of_the_training_split() -> None:
    targets = [0] * 12 + [1] * 5 + [2] * 3 + [2] * 40
    pairs = pairs_of(targets, ["train"] * 20 + ["val"] * 40, 3)
    peer = compute_class_weight("balanced", classes=np.arange(3), y=targets[:20])
    assert class_weights("balanced", pairs) == pytest.approx(tuple(peer))
    assert class_weights("none", pairs) is None


def test_a_class_without_training_samples_has_no_balanced_weight() -> None:
    pairs = pairs_of([0, 0, 1, 2], ["train", "train", "train", "val"], 4)
    with pytest.raises(DataError, match=r"a training sample of every class, there is none of\n  class 2\n  class 3"):
        class_weights("balanced", pairs)


def test_weights_and_balanced_sampling_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="correct one imbalance twice; choose one of them"):
        Config(class_weights="balanced", sampling="balanced")


def test_the_option_weighs_the_training(
    rows: list[Row], fit: Fit, configure: Callable[..., Config], tmp_path: Path
) -> None:
    fewer = [row for number, row in enumerate(rows) if row["label"] != "owl" or row["split"] != "train" or number < 6]
    table = write_csv(tmp_path / "table.csv", fewer)
    options = ("--method", "joint", "--modalities", "image", "genomics", "--class-weights", "balanced")
    config = configure(table, *options)
    prepared = prepare(config)
    weights = Loop(config, prepared, tmp_path / "run").method.class_weights
    labels = prepared.pairs.targets[prepared.pairs.indices("train")]
    assert weights is not None
    assert weights.tolist() == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels).tolist())
    assert len(set(weights.tolist())) > 1
    assert fit(table, *options) == 0
