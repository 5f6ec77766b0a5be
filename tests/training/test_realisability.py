"""The realisability error against ridge regression in closed form, and its cross-validation against plain loops."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from training import realisability as module
from training.realisability import FOLDS, STRENGTHS, Sources, Vectors, realisability


def made(count: int, noise: float, seed: int) -> Sources:
    """z2 is a linear function of z1 and noise; one column of z1 is constant, one of another size."""
    generator = np.random.default_rng(seed)
    given = generator.normal(size=(count, 5)) * np.array([1.0, 0.0, 100.0, 1.0, 1.0]) + 3.0
    weights = np.random.default_rng(99).normal(size=(5, 3)) / np.array([[1.0], [1.0], [100.0], [1.0], [1.0]])
    return Sources(given, given @ weights + noise * generator.normal(size=(count, 3)) - 2.0)


def predict(train: Sources, given: Vectors, strength: float) -> Vectors:
    """W = (XᵀX + λ I)⁻¹ XᵀY on centred inputs and targets."""
    centre, target = train.given.mean(axis=0), train.wanted.mean(axis=0)
    inputs = train.given - centre
    gram = inputs.T @ inputs + strength * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (train.wanted - target))
    return np.asarray((given - centre) @ weights + target)


def standardised(train: Sources, other: Sources) -> tuple[Sources, Sources]:
    scale = train.given.std(axis=0)
    scale[scale == 0] = 1.0
    return Sources(train.given / scale, train.wanted), Sources(other.given / scale, other.wanted)


def chosen(train: Sources, groups: NDArray[np.int64]) -> float:
    """The penalty whose mean over the folds of the mean squared error is least."""
    errors = []
    folds = list(GroupKFold(min(FOLDS, len(set(groups.tolist())))).split(train.given, groups=groups))
    for strength in STRENGTHS:
        found = []
        for kept, held in folds:
            part = Sources(train.given[kept], train.wanted[kept])
            found.append(((predict(part, train.given[held], strength) - train.wanted[held]) ** 2).mean())
        errors.append(np.mean(found))
    return STRENGTHS[int(np.argmin(errors))]


@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_it_is_ridge_regression_in_closed_form(noise: float) -> None:
    train, test = made(40, noise, 0), made(25, noise, 1)
    groups = np.arange(40) // 2
    found = realisability(train, test, groups)
    train, test = standardised(train, test)
    assert found.strength == chosen(train, groups)
    predicted = predict(train, test.given, found.strength)
    errors = [np.sqrt(((p - w) ** 2).sum()) for p, w in zip(predicted, test.wanted, strict=True)]
    constant = [np.sqrt(((train.wanted.mean(axis=0) - w) ** 2).sum()) for w in test.wanted]
    assert found.error == pytest.approx(np.mean(errors))
    assert found.constant_error == pytest.approx(np.mean(constant))
    assert found.normalised == pytest.approx(np.mean(errors) / np.mean(constant))


def test_what_is_linear_is_realised_and_what_is_independent_is_not() -> None:
    train, test = made(60, 0.0, 0), made(40, 0.0, 1)
    assert realisability(train, test, np.arange(60)).normalised < 0.01
    generator = np.random.default_rng(2)
    first, second = (Sources(part.given, generator.normal(size=(len(part.given), 4))) for part in (train, test))
    assert realisability(first, second, np.arange(60)).normalised == pytest.approx(1.0, abs=0.05)


def test_a_single_column_is_predicted_too() -> None:
    train, test = (Sources(part.given, part.wanted[:, :1]) for part in (made(30, 0.0, 0), made(20, 0.0, 1)))
    assert realisability(train, test, np.arange(30)).normalised < 0.02


def test_constant_features_have_no_relative_error() -> None:
    train, test = (Sources(part.given, np.ones((len(part.given), 2))) for part in (made(30, 0.0, 0), made(20, 0.0, 1)))
    found = realisability(train, test, np.arange(30))
    assert found.error == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.normalised)


def test_many_samples_are_sampled_down(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = made(400, 0.5, 0), made(50, 0.5, 1)
    exact = realisability(train, test, np.arange(400)).error
    monkeypatch.setattr(module, "MOST", 200)
    found = [realisability(train, test, np.arange(400)).error for _ in range(2)]
    assert found[0] == found[1] == pytest.approx(exact, rel=0.05)
