"""Balanced sampling: classes equally often, every sample in its turn, repeated ones changed anew, exact resumption."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import Fit
from tests.training.tables import Row, write_csv
from tests.training.test_resume import Killed, assert_same_runs, kill_on_call
from tests.training.tiny import TWO, batches, classifier, setting
from training.batch import Batch
from training.config import AugmentOptions, Config
from training.fit import main, prepare
from training.loading import Samples, training_loader
from training.memory import Memory
from training.methods.infobridge import InfoBridge
from training.methods.infonce import InfoNCE
from training.protection import partners
from training.sampling import Order

SIZES = (60, 9, 4, 20)
TARGETS = np.random.default_rng(5).permutation(np.repeat(np.arange(len(SIZES)), SIZES))
COUNT = len(TARGETS)


def epochs(order: Order, count: int) -> list[list[int]]:
    found = []
    for epoch in range(count):
        order.epoch = epoch
        found.append(list(order))
    return found


def test_uniform_order_is_the_permutation_of_seed_and_epoch_bit_for_bit() -> None:
    for seed, epoch in ((0, 0), (0, 3), (7, 3)):
        order = Order(TARGETS, seed)
        order.epoch = epoch
        assert list(order) == np.random.default_rng((seed, epoch)).permutation(COUNT).tolist()


@pytest.mark.parametrize("balanced", [False, True])
def test_an_epoch_can_begin_later(balanced: bool) -> None:
    order = Order(TARGETS, 3, balanced)
    whole = list(order)
    order.start = 40
    assert list(order) == whole[40:] and len(order) == COUNT and all(type(number) is int for number in order)


def test_every_epoch_draws_each_class_equally_often() -> None:
    extra: Counter[int] = Counter()
    for numbers in epochs(Order(TARGETS, 0, balanced=True), 4):
        assert len(numbers) == COUNT
        counts = np.bincount(TARGETS[np.array(numbers) % COUNT])
        assert set(counts.tolist()) <= {COUNT // 4, COUNT // 4 + 1}
        extra.update(np.flatnonzero(counts > COUNT // 4).tolist())
    assert COUNT % 4 == 1 and extra == dict.fromkeys(range(4), 1), "the one left over goes round"


def test_a_small_class_repeats_its_samples_evenly_and_a_large_one_repeats_none() -> None:
    for numbers in epochs(Order(TARGETS, 3, balanced=True), 12):
        drawn = Counter(number % COUNT for number in numbers)
        for label, size in enumerate(SIZES):
            times = [drawn[position] for position in np.flatnonzero(TARGETS == label).tolist()]
            assert max(times) - min(times) <= 1
            assert max(times) == 1 if size > COUNT / 4 else min(times) >= 1


def test_every_sample_of_a_large_class_comes_before_the_first_comes_again() -> None:
    members = set(np.flatnonzero(TARGETS == 0).tolist())
    series = [number % COUNT for numbers in epochs(Order(TARGETS, 1, balanced=True), 9) for number in numbers]
    series = [position for position in series if position in members]
    counts = Counter(series)
    assert set(counts) == members and max(counts.values()) - min(counts.values()) <= 1
    assert len(series) > 3 * len(members)


def test_a_number_says_how_often_the_epoch_had_the_sample_before() -> None:
    for numbers in epochs(Order(TARGETS, 0, balanced=True), 3):
        assert len(set(numbers)) == COUNT
        times: dict[int, list[int]] = {}
        for number in numbers:
            times.setdefault(number % COUNT, []).append(number // COUNT)
        assert all(sorted(found) == list(range(len(found))) for found in times.values())
        assert any(len(found) > 4 for found in times.values())


def test_balanced_orders_are_of_seed_and_epoch_alone() -> None:
    whole = epochs(Order(TARGETS, 0, balanced=True), 3)
    late = Order(TARGETS, 0, balanced=True)
    late.epoch = 2
    assert list(late) == list(late) == whole[2]
    assert whole[0] != whole[1] and epochs(Order(TARGETS, 1, balanced=True), 1)[0] != whole[0]


def test_classes_that_are_not_there_are_not_drawn() -> None:
    numbers = list(Order(np.array([2, 2, 2, 5]), 0, balanced=True))
    assert sorted(np.array([2, 2, 2, 5])[np.array(numbers) % 4].tolist()) == [2, 2, 5, 5]


@pytest.fixture
def uneven(rows: list[Row], tmp_path: Path) -> Path:
    """A table whose class owl has two training samples, the others six."""
    kept = [row for number, row in enumerate(rows) if row["label"] != "owl" or row["split"] != "train" or number < 6]
    return write_csv(tmp_path / "table.csv", kept)


def test_the_option_balances_the_batches(uneven: Path, configure: Callable[..., Config]) -> None:
    config = configure(uneven, "--method", "joint", "--modalities", "image", "genomics", "--sampling", "balanced")
    prepared = prepare(config)
    loader, set_epoch = training_loader(config, prepared)
    set_epoch(1)
    labels = torch.cat([batch.labels for batch in loader])
    assert len(labels) == len(prepared.pairs.indices("train")) == 14
    assert sorted(labels.bincount().tolist()) == [4, 5, 5]


def test_a_repeated_sample_is_changed_anew_and_its_first_time_as_ever(
    uneven: Path, configure: Callable[..., Config]
) -> None:
    config = configure(uneven, "--method", "joint", "--modalities", "image", "genomics")
    prepared = prepare(config)
    indices = prepared.pairs.indices("train")
    samples = Samples(prepared, indices, config.augment, config.seed)
    first, second, third = (samples[0, 3 + times * len(indices)] for times in range(3))
    assert np.array_equal(first[""], second[""])
    for name in ("image", "genomics"):
        assert not np.array_equal(first[name], second[name]) and not np.array_equal(second[name], third[name])
        assert np.array_equal(second[name], samples[0, 3 + len(indices)][name])
    plain = Samples(prepared, indices, None, config.seed)
    assert np.array_equal(plain[0, 3]["image"], plain[0, 3 + len(indices)]["image"])
    quiet = Samples(prepared, indices, AugmentOptions(enabled=False), config.seed)
    assert np.array_equal(quiet[0, 3]["genomics"], quiet[0, 3 + len(indices)]["genomics"])


@pytest.mark.parametrize(
    ("method", "balance"),
    [("infobridge", "sampling"), ("infonce", "sampling"), ("pmr", "sampling"), ("assisted", "class-weights")],
)
def test_a_balanced_training_killed_within_an_epoch_goes_on_exactly(
    method: str, balance: str, uneven: Path, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = ("--method.memory", "16") if method.startswith("info") else ()
    options = (
        "--method",
        method,
        "--modalities",
        "image",
        "text",
        "--epochs",
        "3",
        f"--{balance}",
        "balanced",
        *memory,
    )
    assert fit(uneven, *options, out=tmp_path / "whole") == 0
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.AdamW, "step", kill_on_call(2 + 1, torch.optim.AdamW.step, before=False))
        fit(uneven, *options)
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    assert_same_runs(tmp_path / "whole", tmp_path / "run")


def twice() -> Batch:
    """Samples of which some come twice in the batch, all of one class."""
    samples = torch.tensor([3, 5, 3, 8, 5, 3])
    return Batch({}, torch.zeros(6, dtype=torch.long), samples, samples + 100)


def test_a_sample_that_comes_twice_is_no_negative_of_itself() -> None:
    batch = twice()
    memory = Memory(16, 2, list(TWO))
    memory.push({name: torch.randn(6, 2) for name in TWO}, batch.labels, batch.samples, batch.groups)
    for negatives in ("same_context", "any"):
        allowed = memory.candidates(batch.labels, batch.samples, batch.groups, negatives)
        for row, sample in enumerate(batch.samples.tolist()):
            chosen = memory.samples[allowed[row]].tolist()
            assert chosen and sample not in chosen
    positions, valid = partners(batch, 8, torch.Generator().manual_seed(0))
    assert bool(valid.all()) and not (batch.samples[positions] == batch.samples[:, None]).any()
    shown = InfoNCE(setting(TWO), InfoNCE.Options(memory=16))._allowed(batch)[:, :6]
    for row, column in np.ndindex(6, 6):
        same = batch.samples[row] == batch.samples[column]
        assert bool(shown[row, column]) == (row == column or not bool(same))


def test_a_batch_of_one_sample_alone_has_no_negatives() -> None:
    model, (batch,) = classifier(TWO), batches(1, TWO)
    labels = torch.zeros_like(batch.labels)
    alone = replace(batch, labels=labels, samples=torch.full_like(labels, 4), groups=torch.full_like(labels, 2))
    method = InfoBridge(setting(TWO), InfoBridge.Options())
    method(model(alone.inputs), alone)
    assert method.diagnostics() == {"anchors_used": 0.0}


def test_the_help_explains_both_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    assert "--sampling {uniform,balanced}" in said and "--class-weights {none,balanced}" in said
