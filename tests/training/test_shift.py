"""Distances from the training data, against inverted matrices and loops."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from training.shift import Shift

CLASSES, WIDTH, COUNT = 3, 5, 60


def features(seed: int, spread: float = 1.0, count: int = COUNT) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated Gaussians around a mean for each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    means = 4 * torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(9))
    mixing = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(8))
    return means[labels] + spread * torch.randn(count, WIDTH, generator=generator) @ mixing, labels


def fitted() -> Shift:
    shift = Shift(WIDTH, CLASSES)
    shift.fit(*features(0))
    return shift


def test_the_distance_is_mahalanobis_to_the_nearest_class() -> None:
    values, labels = (tensor.double().numpy() for tensor in features(0))
    means = np.stack([values[labels == label].mean(axis=0) for label in range(CLASSES)])
    centred = values - means[labels.astype(int)]
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    others, _ = features(1)
    expected = []
    for row in others.double().numpy():
        squares = [(row - mean) @ precision @ (row - mean) / WIDTH for mean in means]
        expected.append(np.sqrt(min(squares)))
    np.testing.assert_allclose(fitted()(others).numpy(), expected, rtol=1e-4)


def test_a_sample_like_the_training_is_at_about_one_and_others_are_farther() -> None:
    shift = fitted()
    near, far = shift(features(1, count=3000)[0]), shift(features(1, 5.0, 3000)[0])
    assert float(near.median()) == pytest.approx(1.0, abs=0.2)
    assert float(far.median()) > 3 * float(near.median())


def test_it_does_not_depend_on_the_features_scale_or_directions() -> None:
    (values, labels), (others, _) = features(0), features(1)
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(3)))[0]
    turned = Shift(WIDTH, CLASSES)
    turned.fit(7 * values @ turn + 2, labels)
    torch.testing.assert_close(turned(7 * others @ turn + 2), fitted()(others), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("constant", [1, WIDTH], ids=["one direction", "all"])
def test_features_that_never_vary_give_finite_distances(constant: int) -> None:
    values, labels = features(0)
    values[:, :constant] = 3.0
    shift = Shift(WIDTH, CLASSES)
    shift.fit(values, labels)
    assert torch.isfinite(shift(values)).all() and torch.isfinite(shift(features(1)[0])).all()


def test_fewer_samples_than_features_are_enough() -> None:
    generator = torch.Generator().manual_seed(0)
    shift = Shift(200, CLASSES)
    shift.fit(torch.randn(12, 200, generator=generator), torch.arange(12) % CLASSES)
    others = shift(torch.randn(50, 200, generator=generator))
    assert torch.isfinite(others).all() and float(others.median()) > 0.5
    assert float(shift(3 * torch.randn(50, 200, generator=generator)).median()) > 2 * float(others.median())
