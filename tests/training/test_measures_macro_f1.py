"""Macro-F1 and its interval, against scikit-learn on every resample."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from training.measures.macro_f1 import macro_f1_interval
from training.measures.resampling import drawn_samples


@pytest.mark.parametrize("grouped", [False, True])
def test_it_is_scikit_learn_s_on_the_samples_and_on_resamples(grouped: bool) -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(4, size=40)
    predicted = np.where(generator.random(40) < 0.6, labels, generator.integers(5, size=40))
    groups = np.arange(40) // 4 if grouped else None
    found = macro_f1_interval(labels, predicted, groups, resamples=200)
    assert found.value == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0.0))
    expected = []
    for drawn in np.concatenate(list(drawn_samples(40, groups, 200))).astype(int):
        rows = np.repeat(np.arange(40), drawn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected.append(f1_score(labels[rows], predicted[rows], average="macro", zero_division=0.0))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, (0.025, 0.975))))


def test_all_right_is_1_and_all_wrong_is_0() -> None:
    labels = np.array([0, 1, 2, 1])
    assert macro_f1_interval(labels, labels).value == 1.0
    assert macro_f1_interval(labels, np.full(4, 3)).value == 0.0
