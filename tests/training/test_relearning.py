"""D&R's purities, weights, interpolation and epochs against loops from its equations, and against joint training."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.preprocessing import MinMaxScaler
from torch import Tensor

from tests.training import tiny
from tests.training.conftest import Fit
from tests.training.tiny import CLASSES, THREE, TWO
from training import catalog
from training.config import Config
from training.errors import ConfigError
from training.evaluate import Encoded
from training.fit import prepare
from training.loop import Loop
from training.method import Run
from training.methods.relearning import Relearning, purity, scaled
from training.model import Classifier

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])
Variant = Literal["paper", "official-code"]


def build(names: tuple[str, ...] = TWO, **options: Any) -> Relearning:
    return Relearning(tiny.setting(names), Relearning.Options(**options))


def blobs(width: int, wrong: int, seed: int) -> tuple[Tensor, Tensor, list[int]]:
    """Features in three groups far apart, 20 each, labels of which some are not the group's own, and the groups."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.arange(60) % CLASSES
    centres = 40 * torch.eye(CLASSES, width) + torch.arange(width)  # dimensions of different range
    labels = groups.clone()
    labels[:wrong] = (labels[:wrong] + 1) % CLASSES
    return centres[groups] + torch.randn(60, width, generator=generator), labels, groups.tolist()


def naive_purity(groups: list[int], labels: list[int]) -> float:
    right = 0
    for group in set(groups):
        members = [label for label, own in zip(labels, groups, strict=True) if own == group]
        right += max(members.count(k) for k in range(CLASSES))
    return right / len(labels)


def run_with(model: Classifier, epoch: int, wrong: dict[str, dict[str, int]], epochs: int = 100) -> Run:
    """Features of both splits with so many wrong labels by modality; only one modality's labels can be the split's."""
    ((name, counts),) = wrong.items()
    found = {}
    for split, count in counts.items():
        features, labels, _ = blobs(tiny.WIDTHS[name], count, seed=count)
        others = {other: blobs(tiny.WIDTHS[other], 0, seed=7)[0] for other in model.encoders}
        found[split] = Encoded(labels, torch.arange(60), {**others, name: features})
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return Run(epoch, epochs, model, optimizer, lambda split: found[split])


@pytest.mark.parametrize("wrong", [0, 7, 25])
@pytest.mark.parametrize("width", [3, 4, 8])
def test_purity_counts_the_most_frequent_class_of_every_cluster(wrong: int, width: int) -> None:
    features, labels, groups = blobs(width, wrong, seed=wrong)
    found = purity(scaled(features), labels.numpy(), CLASSES, np.random.default_rng(3))
    assert found == pytest.approx(naive_purity(groups, labels.tolist()))
    assert (found == 1.0) == (wrong == 0)


def test_features_are_scaled_dimension_by_dimension_and_a_constant_one_says_nothing() -> None:
    features = torch.randn(30, 5) * torch.tensor([1.0, 100.0, 1e-3, 5.0, 1.0]) + 7
    features[:, 4] = 2.5
    expected = MinMaxScaler((-1, 1)).fit_transform(features.double().numpy())
    np.testing.assert_allclose(scaled(features), expected, atol=1e-5)
    for column in range(4):
        assert (scaled(features)[:, column].min(), scaled(features)[:, column].max()) == (-1.0, 1.0)
    assert (scaled(features)[:, 4] == -1.0).all()


@NAMES
@pytest.mark.parametrize("wrong", [(0, 0), (2, 25), (25, 2)])
def test_every_parameter_of_every_encoder_is_taken_back_by_its_modalitys_weight_and_nothing_else_is(
    names: tuple[str, ...], wrong: tuple[int, int]
) -> None:
    method, model = build(names, every=1), tiny.classifier(names)
    found = tiny.batches(4, names)
    optimizer = tiny.optimiser(model, method)
    tiny.start(0, model, method, optimizer, found)
    initial = {name: value.clone() for name, value in model.named_parameters()}
    tiny.train(model, method, optimizer, found, Accelerator(cpu=True))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    moments = tiny.cloned(optimizer.state_dict())
    method.epoch_start(run_with(model, 1, {names[1]: {"train": wrong[0], "val": wrong[1]}}))

    weights = {}
    for name in names:
        gaps = []
        for count in wrong:
            _, labels, groups = blobs(tiny.WIDTHS[name], count, seed=count)
            gaps.append(naive_purity(groups, labels.tolist()))
        weights[name] = math.tanh(3 * abs(gaps[0] - gaps[1]))
    assert (weights[names[1]] > 0.5) == (wrong != (0, 0))
    touched = 0
    for key, value in model.state_dict().items():
        owner = key.split(".")[1] if key.startswith("encoders.") else ""
        if owner and key in initial:
            expected = weights[owner] * initial[key] + (1 - weights[owner]) * before[key]
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6, msg=key)
            touched += not torch.equal(value, before[key])
        else:
            assert torch.equal(value, before[key]), f"{key}: a head or a running statistic"
    trained = sum(not torch.equal(initial[key], before[key]) for key in initial if key.startswith("encoders."))
    assert touched == (trained if wrong != (0, 0) else 0) and trained == (13 if len(names) == 3 else 9)
    assert any("running_mean" in key for key in before)
    assert str(moments) == str(tiny.cloned(optimizer.state_dict())) and moments["state"]
    noted = method.diagnostics()
    for name in names:
        assert noted[f"relearning_{name}"] == pytest.approx(weights[name])
        gap = abs(noted[f"purity_train_{name}"] - noted[f"purity_val_{name}"])
        assert math.tanh(3 * gap) == pytest.approx(weights[name])
    assert method.diagnostics() == {}


def test_the_gap_of_one_modality_takes_back_that_modality_alone() -> None:
    method, model = build(every=1, strength=2.0), tiny.classifier(TWO)
    tiny.start(0, model, method, tiny.optimiser(model, method), tiny.batches(1, TWO))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    features, labels, groups = blobs(8, 0, 1)
    mixed = torch.stack([features[(row + row // CLASSES % CLASSES) % 60] for row in range(60)])
    shuffled = [groups[(row + row // CLASSES % CLASSES) % 60] for row in range(60)]
    clear, still = blobs(4, 0, 2)[0], tiny.copied(model.encoders["pathology"])
    found = {
        "train": Encoded(labels, torch.arange(60), {"image": features, "pathology": clear}),
        "val": Encoded(labels, torch.arange(60), {"image": mixed, "pathology": clear}),
    }
    first = next(iter(model.encoders["image"].parameters())).clone()
    run = Run(1, 100, model, torch.optim.SGD(model.parameters(), 0.1), lambda split: found[split])
    assert method.diagnose(run) == pytest.approx(
        {"image": math.tanh(2 * (1 - naive_purity(shuffled, labels.tolist()))), "pathology": 0.0}
    )
    method.epoch_start(run)
    assert not torch.equal(first, next(iter(model.encoders["image"].parameters())))
    assert tiny.same(still, tiny.copied(model.encoders["pathology"]))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [20, 40, 60]),
        ({"variant": "official-code"}, [21, 41, 61]),
        ({"every": 15, "times": 2}, [15, 30]),
        ({"every": 1, "times": 3}, [1, 2, 3]),
        ({"every": 1, "times": 3, "variant": "official-code"}, [2, 3, 4]),
        ({"every": 100}, []),
        ({"times": 0}, []),
    ],
)
def test_the_encoders_are_taken_back_at_these_epochs_only(options: dict[str, Any], expected: list[int]) -> None:
    method, model = build(**options), tiny.classifier(TWO)
    model.requires_grad_(False)
    seen = []
    for epoch in range(100):
        tiny.start(epoch, model, method, torch.optim.SGD(model.parameters(), 0.1), tiny.batches(1, TWO))
        for parameter in model.parameters():
            parameter.add_(1.0)  # as if it had been trained
        before = tiny.copied(model)
        if epoch:
            method.epoch_start(run_with(model, epoch, {"image": {"train": 0, "val": 25}}))
        seen += [epoch] if not tiny.same(before, tiny.copied(model)) else []
        assert bool(method.diagnostics()) == (epoch in expected)
    assert seen == expected


@NAMES
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(names: tuple[str, ...]) -> None:
    made: list[Relearning] = []

    def make() -> Relearning:
        made.append(build(names, every=1))
        return made[-1]

    tiny.assert_resumes(make, names, Accelerator(cpu=True))
    for method in made:
        assert any(value > 0 for key, value in method.diagnostics().items() if key.startswith("relearning_"))
    model, found = tiny.classifier(names), tiny.batches(3, names)
    tiny.assert_disturbs_nothing(lambda: build(names, every=1), model, found[0])
    method = build(names, every=1)
    method.epoch_start(tiny.run(0, model, found))
    random = torch.get_rng_state()
    method.diagnose(tiny.run(1, model, found))
    assert torch.equal(random, torch.get_rng_state())
    state = method.state_dict()["_extra_state"]["initial"]
    assert set(state) == set(names)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    before = tiny.copied(model)
    method.epoch_start(run_with(model, 1, {names[0]: {"train": 0, "val": 25}}))
    assert not tiny.same(before, tiny.copied(model))
    for name in names:
        fresh = dict(tiny.classifier(names).encoders[name].named_parameters())
        assert fresh.keys() == state[name].keys()
        assert all(torch.equal(fresh[key], state[name][key]) for key in fresh), "the first weights stay the first"


def test_the_whole_program_relearns_and_otherwise_trains_the_weights_of_joint_training(
    fit: Fit, table: Path, tmp_path: Path
) -> None:
    options = ("--modalities", "image", "text", "genomics", "--epochs", "3")
    relearning = ("--method", "relearning", *options)
    assert fit(table, "--method", "joint", *options, out=tmp_path / "joint") == 0
    assert fit(table, *relearning, "--method.every", "3", out=tmp_path / "never") == 0
    assert fit(table, *relearning, "--method.every", "1", "--method.strength", "0", out=tmp_path / "still") == 0
    assert fit(table, *relearning, "--method.every", "1", "--method.times", "1", out=tmp_path / "once") == 0
    names = ("joint", "never", "still", "once")
    history = {name: json.loads((tmp_path / name / "history.json").read_text("utf-8")) for name in names}
    losses = {name: [entry["loss"] for entry in entries] for name, entries in history.items()}
    assert losses["joint"] == losses["never"] == losses["still"] != losses["once"]
    assert losses["joint"][0] == losses["once"][0]
    for name in ("never", "still"):
        one, other = ((tmp_path / folder / "model.safetensors").read_bytes() for folder in ("joint", name))
        assert one == other, name
    noted = [{key for key in entry if key.startswith("relearning_")} for entry in history["once"]]
    assert noted == [set(), {"relearning_image", "relearning_text", "relearning_genomics"}, set()]
    purities = [value for key, value in history["once"][1].items() if key.startswith("purity_")]
    assert len(purities) == 6 and all(1 / 3 <= value <= 1 for value in purities)


@pytest.mark.parametrize("fusion", ["film", "gated", "sum"])
def test_every_fusion_will_do(fusion: str, fit: Fit, table: Path) -> None:
    options = ("--method.every", "1", "--modalities", "image", "genomics", "--epochs", "2", "--fusion", fusion)
    assert fit(table, "--method", "relearning", *options) == 0


def test_a_validation_split_that_is_too_small_is_refused_before_the_first_epoch(
    configure: Callable[..., Config], table: Path, tmp_path: Path
) -> None:
    config = configure(table, "--modalities", "image", "genomics", "--method", "relearning", "--epochs", "30")
    loop = Loop(config, prepare(config), tmp_path / "run")
    features = loop._features("val")
    few = Encoded(features.labels[:2], features.samples[:2], {k: v[:2] for k, v in features.features.items()})
    optimizer = torch.optim.SGD(loop.model.parameters(), 0.1)
    with pytest.raises(ConfigError, match="a validation sample for each of the 3 classes, there are 2"):
        loop.method.epoch_start(Run(0, 30, loop.model, optimizer, lambda split: few))
    loop.method.epoch_start(Run(0, 20, loop.model, optimizer, lambda split: few))  # no diagnosis will come


def test_the_catalogue_finds_it_and_its_defaults_are_the_released_codes() -> None:
    assert catalog.load("methods", "relearning") is Relearning
    options = Relearning.Options()
    assert (options.strength, options.every, options.times, options.variant) == (3.0, 20, 3, "paper")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, r"method\.strength must not be negative"),
        ({"strength": math.nan}, r"method\.strength must not be negative"),
        ({"every": 0}, r"method\.every must be at least 1"),
        ({"times": -1}, r"method\.times must be at least 0"),
    ],
)
def test_impossible_options_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Relearning.Options(**options)


def test_a_training_too_short_for_a_diagnosis_says_that_it_is_joint_training(
    fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "no diagnosis falls within 2 epochs, so this is joint training: lower --method.every"
    assert fit(table, "--method", "relearning", "--epochs", "2") == 0
    assert said in capsys.readouterr().out
    assert fit(table, "--method", "relearning", "--epochs", "2", "--method.every", "1", "--overwrite") == 0
    assert said not in capsys.readouterr().out
