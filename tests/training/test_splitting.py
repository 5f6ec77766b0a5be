"""Splits made where there are none: stratified, seeded, groups whole, and refused where that cannot be."""

import numpy as np
import pytest

from training.errors import DataError
from training.splitting import assign

FRACTIONS = {"test": 0.15, "val": 0.15}


def classes_of(*counts: int) -> np.ndarray:
    return np.repeat(np.array(["cat", "dog", "owl"])[: len(counts)], counts)


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_split_alike(seed: int) -> None:
    classes = classes_of(70, 140, 35)
    splits = assign(classes, np.arange(245), FRACTIONS, "train", seed)
    for name in ("cat", "dog", "owl"):
        own = splits[classes == name]
        assert (own == "test").mean() == pytest.approx(1 / 7, abs=0.03)
        assert (own == "val").mean() == pytest.approx(1 / 7, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_classes_balanced(seed: int) -> None:
    groups = np.repeat(np.arange(60), 5)
    classes = np.array(["cat", "dog"])[groups % 2]
    splits = assign(classes, groups, FRACTIONS, "train", seed)
    assert all(len(set(splits[groups == group])) == 1 for group in range(60))
    assert set(splits[classes == "cat"]) == set(splits[classes == "dog"]) == {"train", "val", "test"}


def test_the_seed_decides() -> None:
    classes = classes_of(30, 30)
    one, same, other = (assign(classes, np.arange(60), FRACTIONS, "train", seed) for seed in (3, 3, 4))
    assert (one == same).all() and (one != other).any()


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_few_samples_is_no_matter_of_luck(seed: int) -> None:
    splits = assign(classes_of(100, 4), np.arange(104), FRACTIONS, "train", seed)
    assert (splits[100:] == "train").sum() >= 2


@pytest.mark.parametrize("seed", range(10))
def test_a_handful_of_samples_can_be_split(seed: int) -> None:
    splits = assign(classes_of(5, 5), np.arange(10), FRACTIONS, "train", seed)
    assert set(splits) == {"train", "val", "test"}


def test_every_class_that_is_too_rare_is_named() -> None:
    groups = np.concatenate([np.arange(20), np.full(20, 100), np.arange(200, 203)])
    with pytest.raises(DataError) as error:
        assign(classes_of(20, 20, 3), groups, FRACTIONS, "train", 0)
    assert error.value.rows == ("dog: 20 samples in 1 groups", "owl: 3 samples in 3 groups")
