"""Splits made where there are none: stratified, seeded, groups whole, and refused where that cannot be."""

import numpy as np
import pytest

from training.errors import DataError
from training.splitting import assign, held_out

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


def test_groups_are_held_out_whole_by_their_names_alone() -> None:
    groups = [f"patient {number // 3}" for number in range(300)]
    classes = ["rare" if number // 3 < 4 else "common" for number in range(300)]
    taken = held_out(groups, classes, 0.2)
    assert all(len(set(taken[3 * patient : 3 * patient + 3])) == 1 for patient in range(100))
    assert (int(taken[:12].sum()), int(taken[12:].sum())) == (3, 57), "one group in five of each class, one at least"
    order = np.random.default_rng(0).permutation(300)
    shuffled = held_out([groups[index] for index in order], [classes[index] for index in order], 0.2)
    assert (shuffled == taken[order]).all()
    fewer = held_out(groups[:-30], classes[:-30], 0.2)
    assert (fewer == taken[:-30]).mean() > 0.97, "what is missing moves hardly anything else"
