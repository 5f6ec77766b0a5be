"""The learning rate's course, what an evaluation counts, and which epoch is kept."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training.config import Config
from training.evaluate import Scores, evaluate
from training.fit import prepare
from training.loop import Loop
from training.schedule import learning_rate

STEADY = ("--genomics.encoder.dropout", "0")


def test_the_learning_rate_falls_as_a_cosine() -> None:
    config = Config(epochs=10, learning_rate=0.4)
    rates = [learning_rate(config, epoch) for epoch in range(10)]
    assert rates == [pytest.approx(0.2 * (1 + math.cos(math.pi * epoch / 10))) for epoch in range(10)]
    assert rates[0] == 0.4 and rates[-1] > 0


def test_the_learning_rate_rises_while_warming_up() -> None:
    config = Config(epochs=10, learning_rate=0.4, warmup=4)
    rates = [learning_rate(config, epoch) for epoch in range(10)]
    assert rates[:4] == [pytest.approx(0.1 * (epoch + 1)) for epoch in range(4)]
    assert rates[4] == 0.4 and all(one > other for one, other in pairwise(rates[4:]))


def test_the_learning_rate_may_be_constant() -> None:
    config = Config(epochs=5, learning_rate=0.4, schedule="constant")
    assert {learning_rate(config, epoch) for epoch in range(5)} == {0.4}


def test_the_figures_of_a_split_equal_a_naive_count() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 50)
    shares = {name: generator.normal(size=(50, 3)).astype(np.float32) for name in ("image", "text")}
    logits = shares["image"] + shares["text"]
    found = evaluate(Scores(labels, np.arange(50), logits, shares))
    guess = [max(range(3), key=lambda index: row[index]) for row in logits.tolist()]
    right = [one == other for one, other in zip(guess, labels.tolist(), strict=True)]
    assert found.accuracy == pytest.approx(sum(right) / 50) and found.samples == 50
    scores = []
    for label in range(3):
        hits = sum(one == other == label for one, other in zip(guess, labels.tolist(), strict=True))
        scores.append(2 * hits / (guess.count(label) + labels.tolist().count(label)))
    assert found.macro_f1 == pytest.approx(sum(scores) / 3)
    assert found.modality_accuracy["text"] == pytest.approx(float((shares["text"].argmax(axis=1) == labels).mean()))
    assert "image alone" in found.line() and "50 samples" in found.line()


@pytest.fixture
def run(table: Path, configure: Callable[..., Config], tmp_path: Path) -> Callable[..., Loop]:
    def build(*options: str) -> Loop:
        config = configure(table, "--method", "joint", "--modalities", "image", "genomics", *options)
        (tmp_path / "run").mkdir()
        return Loop(config, prepare(config), tmp_path / "run")

    return build


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_epoch_or_the_last_is_kept(keep: str, run: Callable[..., Loop], tmp_path: Path) -> None:
    loop = run("--epochs", "4", "--keep", keep, "--learning-rate", "0.01")
    result = loop.run()
    scores = [entry["validation"]["accuracy"] for entry in loop.history]
    first_best = 1 + scores.index(max(scores))
    assert loop.progress.best_epoch == first_best
    assert result.best_epoch == (first_best if keep == "best" else 4)
    assert result.validation.accuracy == scores[result.best_epoch - 1]
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in loop.model.state_dict().items())


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_either_optimiser_learns_the_training_split(optimiser: str, run: Callable[..., Loop]) -> None:
    rate = "0.05" if optimiser == "sgd" else "0.01"
    loop = run("--epochs", "8", "--optimiser", optimiser, "--learning-rate", rate, "--augment.no-enabled", *STEADY)
    loop.run()
    losses = [entry["loss"]["task"] for entry in loop.history]
    assert losses[-1] < 0.5 * losses[0]


def test_bf16_trains_too(run: Callable[..., Loop]) -> None:
    loop = run("--precision", "bf16")
    loop.run()
    assert all(weight.dtype == torch.float32 for weight in loop.model.parameters())
